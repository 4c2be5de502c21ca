"""Criterions with a penalty, in real runs: what they do to weights, and that runs go on."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints import storage
from fairseq_prune.cli.main import main
from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.penalty import group_step_
from fairseq_prune.maths.structure import Block
from fairseq_prune.network.weights import FAIRSEQ_PAD
from fairseq_prune.network.weights import of_state_dict as weights_of
from fairseq_prune.pruning.penalty_run import GrowingPenalty, Optimised
from tests.conftest import Train, differences, trained

LOSS = "label_smoothed_cross_entropy"
PRUNE = "--prune-scheme class-blind --prune-sparsity 0.6".split()
GROWING = [
    "--criterion", f"{LOSS}_growing", *PRUNE, "--prune-penalty-ceiling", 10, "--prune-start", 6
]  # fmt: skip
PENALTIES = {
    "greg-1": GROWING,
    "greg-2": [*GROWING, "--prune-penalty", "greg-2"],
    "greg-2, chosen after the cut": [
        *GROWING[:-1], 7, "--prune-penalty", "greg-2", "--prune-saliency", "taylor",
        "--prune-score-batches", 1,
    ],
    "group lasso": [
        "--criterion", f"{LOSS}_group_lasso", "--prune-scheme", "class-uniform",
        "--prune-structure", "block:4x4", "--prune-start", 6,
    ],
    "group lasso, gradual": [
        "--criterion", f"{LOSS}_group_lasso", *PRUNE, "--prune-structure", "row",
        "--prune-schedule", "gradual", "--prune-start", 2, "--prune-end", 6, "--prune-every", 2,
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("arch", "name"),
    [("lstm", "greg-1"), ("lstm", "group lasso"), *(("transformer", name) for name in PENALTIES)],
)
def test_a_resumed_run_equals_the_straight_one_and_verifies(
    train: Train, tmp_path: Path, arch: str, name: str
) -> None:
    flags = PENALTIES[name]
    straight = train(tmp_path / "straight", "--max-update", 8, *flags, arch=arch)
    train(tmp_path / "cut", "--max-update", 8, *flags, arch=arch, cut=3)
    resumed = train(tmp_path / "cut", "--max-update", 8, *flags, arch=arch)
    assert differences(trained(straight), trained(resumed)) == []
    assert main(["verify", str(tmp_path / "straight" / "checkpoint_last.pt")]) == 0


def digest(checkpoint: dict[str, Any]) -> str:
    return str(checkpoint["task_state"]["prune"]["masks"]["digest"])


OPTIMIZERS = {"adam": [], "sgd": ["--optimizer", "sgd", "--momentum", 0.9, "--lr", 0.1]}


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_update_is_the_stock_one_then_the_factor(
    train: Train, tmp_path: Path, arch: str, optimizer: str
) -> None:
    flags = ["--max-update", 7, *OPTIMIZERS[optimizer]]
    stock = train(tmp_path / "stock", *flags, *PRUNE, "--prune-start", 6, arch=arch, cut=1)
    ours = train(tmp_path / "ours", *flags, *GROWING, arch=arch, cut=1)
    removed_at_once = train(tmp_path / "once", *flags, *PRUNE, arch=arch, cut=1)
    masks = bits_of(removed_at_once)
    rate = 0.1 if optimizer == "sgd" else 0.01
    factor = 1 - rate * 10 * 17 / 100  # 100 raises in 6 updates: 16.7 are begun at the first
    expected = dict(stock["model"])
    for names, keep in tied(tmp_path / "stock", masks):
        for name in names:
            value = stock["model"][name]
            expected[name] = torch.where(keep, value, value * factor)
    a, b = ({**trained({**stock, "model": m})["model"]} for m in (expected, ours["model"]))
    assert differences(a, b) == []
    # the moments do not hear of the penalty
    assert differences(stock["last_optimizer_state"], ours["last_optimizer_state"]) == []


def bits_of(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    found = storage.masks_of(checkpoint, "checkpoint")
    assert found is not None
    return dict(found)


def tied(
    folder: Path, masks: dict[str, torch.Tensor]
) -> list[tuple[tuple[str, ...], torch.Tensor]]:
    """All names of each weight, and its mask."""
    weights = weights_of(storage.load(folder / "checkpoint_last.pt")["model"])
    return [(weights[name].aliases, mask) for name, mask in masks.items()]


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_an_update_is_the_stock_one_then_the_proximal_step(
    train: Train, tmp_path: Path, arch: str
) -> None:
    flags = [
        "--max-update", 4, "--prune-scheme", "class-uniform", "--prune-structure", "block:4x4",
        "--prune-start", 3,
    ]  # fmt: skip
    stock = train(tmp_path / "stock", *flags, arch=arch, cut=1)
    strength = {"lstm": 5, "transformer": 20}[arch]  # fresh weights are of different sizes
    lasso = ["--criterion", f"{LOSS}_group_lasso", "--prune-penalty-strength", strength]
    ours = train(tmp_path / "ours", *flags, *lasso, arch=arch, cut=1)
    zeros, total = 0, 0
    tensors = storage.load(tmp_path / "stock" / "checkpoint_last.pt")["model"]
    for name, weight in weights_of(tensors).items():
        value = weight.tensor.clone()
        group_step_(value, Block(4, 4), 0.01 * strength, weight.fixed)
        for alias in weight.aliases:
            assert torch.equal(value, ours["model"][alias]), name
        if "embed_tokens" in name:  # padding is not penalised
            pad = stock["model"][name][FAIRSEQ_PAD]
            assert torch.equal(ours["model"][name][FAIRSEQ_PAD], pad)
        zeros, total = zeros + int((value == 0).sum()), total + value.numel()
    assert 100 < zeros < total - 100
    assert differences(stock["last_optimizer_state"], ours["last_optimizer_state"]) == []
    others = [n for n in stock["model"] if n.endswith("bias")]
    assert others and all(torch.equal(stock["model"][n], ours["model"][n]) for n in others)


@pytest.mark.parametrize("scheme", ["class-blind", "class-distribution"])
def test_greg_1_removes_what_one_shot_would_have_removed_at_the_start(
    train: Train, tmp_path: Path, scheme: str
) -> None:
    more = ["--prune-scheme", scheme]
    at_once = train(tmp_path / "once", "--max-update", 1, *PRUNE, *more)
    grown = train(tmp_path / "grown", "--max-update", 7, *GROWING, *more)
    later = train(tmp_path / "later", "--max-update", 7, *PRUNE, *more, "--prune-start", 6)
    assert digest(grown) == digest(at_once) != digest(later)
    ours = grown["task_state"]["prune"]
    assert ours["acted"] == 6
    assert ours["penalty"]["chosen"] is None  # it is in the masks now


def test_greg_2_removes_what_one_shot_would_have_removed_half_way(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    flags = PENALTIES["greg-2"]
    half = train(tmp_path / "half", "--max-update", 7, *flags, cut=3)
    done = train(tmp_path / "done", "--max-update", 7, *flags)
    packed = half["task_state"]["prune"]["penalty"]["chosen"]
    assert packed["digest"] == digest(done)
    from fairseq_prune.pruning.pruner import Pruner
    from fairseq_prune.pruning.recipe import Recipe
    from fairseq_prune.saliency import Probe

    recipe = Recipe(scheme="class-blind")
    expected = Pruner(recipe).update(0.6, Probe(weights_of(half["model"]))).masks
    assert expected.digest() == digest(done)
    assert "chosen at update 3, to be removed at update 6" in caplog.text


def test_it_goes_on_from_a_trained_model_and_grows_from_there(train: Train, tmp_path: Path) -> None:
    train(tmp_path / "dense", "--max-update", 2)
    dense = tmp_path / "dense" / "checkpoint_last.pt"
    # fairseq refuses to go on with a criterion whose class has another name
    done = train(tmp_path / "on", "--max-update", 7, *GROWING, "--restore-file", dense)
    once = train(tmp_path / "once", "--max-update", 3, *PRUNE, "--restore-file", dense)
    assert digest(done) == digest(once)
    assert done["task_state"]["prune"]["penalty"]["since"] == 2
    assert done["optimizer_history"][-1]["num_updates"] == 7


def test_half_precision_masters_shrink_and_the_model_follows(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Optimised, torch.Tensor, torch.Tensor]] = []
    original = GrowingPenalty.act_

    def act_(self: GrowingPenalty, step: int, parts: Iterable[Optimised]) -> None:
        def watched() -> Iterator[Optimised]:
            for part in parts:
                before = part.tensor.clone()
                yield part
                seen.append((part, before, part.tensor.clone()))

        original(self, step, watched())
        for part, before, after in seen:
            weight = part.weight.tensor
            assert before.dtype == torch.float32 and weight.dtype == torch.float16
            assert torch.equal(after.half(), weight)
            gone = ~chosen(self)[part.weight.name]
            factor = 1 - 0.01 * 10 * 17 / 100
            assert torch.equal(after, torch.where(gone, before * factor, before))

    monkeypatch.setattr(GrowingPenalty, "act_", act_)
    half = ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale", 1, "--max-update", 7]
    train(tmp_path, *half, *GROWING, arch="transformer", cut=1)
    assert len(seen) > 30


def chosen(penalty: GrowingPenalty) -> Masks:
    return Masks.unpack(penalty.pack()["chosen"], "the penalty")


def test_other_penalty_flags_are_refused_when_a_run_goes_on(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "--max-update", 7, *GROWING, cut=2)
    before = (tmp_path / "checkpoint_last.pt").read_bytes()
    with pytest.raises(SystemExit, match="--prune-penalty-ceiling 9.0 .in the file: 10.0."):
        train(tmp_path, "--max-update", 7, *GROWING, "--prune-penalty-ceiling", 9)
    with pytest.raises(SystemExit, match="the criterion's penalty None .in the file: growing."):
        train(tmp_path, "--max-update", 7, *PRUNE, "--prune-start", 6)
    assert (tmp_path / "checkpoint_last.pt").read_bytes() == before
    on = train(tmp_path, "--max-update", 7, *PRUNE, "--prune-start", 6, "--prune-override")
    assert on["task_state"]["prune"]["penalty"] is None


def test_bad_combinations_are_refused_before_training(train: Train, tmp_path: Path) -> None:
    for flags, why in (
        (GROWING[:2], "fairseq_prune: A criterion ._growing needs --prune-scheme"),
        ([*GROWING, "--lr", 0.2], "times --lr 0.2 is more than 1"),
        ([*PENALTIES["group lasso"], "--prune-penalty-strength", -1], "0 or more"),
    ):
        with pytest.raises(SystemExit, match=why):
            train(tmp_path, "--max-update", 7, *flags)
    assert not list(tmp_path.glob("*.pt"))


def test_the_penalty_is_in_the_progress_line(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    train(tmp_path, "--max-update", 7, *GROWING, "--prune-penalty-raises", 6)
    lines = [r.getMessage() for r in caplog.records if r.name == "train_inner"]
    values = [float(line.partition("penalty=")[2].partition(",")[0]) for line in lines]
    assert [round(value, 2) for value in values[:2]] == [1.67, 3.33]
    assert values[5:7] == [10.0, 0.0]
    assert "the root mean square of the chosen weights is" in caplog.text
