"""fairseq-train from checkpoints that were made by anybody: a sentence, and nothing overwritten."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.pruning.refusal import Refusal
from tests.conftest import LSTM, TRAINING, train_here
from tests.untrusted.damage import ODD, TENSORS, changed, places, spoilt

GRADUAL = (
    "--prune-scheme class-blind --prune-sparsity 0.5 --prune-schedule gradual --prune-start 1 "
    "--prune-end 6 --prune-every 2"
).split()
FLAGS = ("--finetune-from-model", "--prune-mask-from")
PARTS = [(), ("last_optimizer_state",), ("optimizer_history", 0), ("extra_state",)]


def call(corpus: Path, folder: Path, updates: int, *flags: Any) -> None:
    shared = [corpus, *LSTM, *TRAINING, "--disable-validation"]
    train_here([*shared, "--save-dir", folder, "--max-update", updates, *flags])


@pytest.fixture(scope="module")
def sound(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in the middle of its schedule."""
    folder = tmp_path_factory.mktemp("sound")
    call(corpus, folder, 3, *GRADUAL)
    return folder / "checkpoint_last.pt"


def refused(corpus: Path, folder: Path, *flags: Any) -> str:
    """What is said, on one line; the file stays as it was, and nothing comes beside it."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(Refusal) as caught:
        call(corpus, folder, 5, *flags)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def moments_of_another(content: Any) -> None:
    content["last_optimizer_state"]["state"][3]["exp_avg"] = torch.ones(3)


def updates_that_never_end(content: Any) -> None:
    content["optimizer_history"][-1]["num_updates"] = -(2**63)


def batches_by_name(content: Any) -> None:
    content["extra_state"]["train_iterator"]["iterations_in_epoch"] = "x"


def weights_of_another(content: Any) -> None:
    content["model"]["decoder.fc_out.weight"] = torch.ones(2, 2)


SENTENCES: dict[Callable[[Any], None], str] = {
    moments_of_another: "cannot be taken up (RuntimeError: ",
    updates_that_never_end: "cannot be taken up (ValueError: its num_updates is '-92233720368",
    batches_by_name: "cannot be taken up (ValueError: its iterations_in_epoch is 'x')",
    weights_of_another: "fc_out.weight is (2, 2) in the checkpoint and (32, 16) in the model",
}


@pytest.mark.parametrize(
    "damage",
    [
        moments_of_another,
        updates_that_never_end,
        pytest.param(batches_by_name, marks=pytest.mark.slow),
        pytest.param(weights_of_another, marks=pytest.mark.slow),
    ],
)
def test_a_run_does_not_take_up_what_does_not_fit(
    damage: Callable[[Any], None], corpus: Path, sound: Path, tmp_path: Path
) -> None:
    content = torch.load(sound, weights_only=False)
    damage(content)
    path = tmp_path / "checkpoint_last.pt"
    torch.save(content, path)
    sentence = refused(corpus, tmp_path, *GRADUAL)
    assert f"{path} cannot be taken up" in sentence and SENTENCES[damage] in sentence


def test_weights_to_begin_with_need_no_place_in_the_data(
    corpus: Path, sound: Path, tmp_path: Path
) -> None:
    content = torch.load(sound, weights_only=False)
    torch.save({**content, "extra_state": {}}, tmp_path / "weights.pt")
    call(corpus, tmp_path / "run", 1, "--finetune-from-model", tmp_path / "weights.pt")
    assert (tmp_path / "run" / "checkpoint_last.pt").is_file()


@pytest.mark.parametrize(
    "flag", [*(pytest.param(flag, marks=pytest.mark.slow) for flag in FLAGS), None]
)
def test_half_a_file_is_named_before_anything_is_built_upon_it(
    flag: str | None, corpus: Path, sound: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    path = tmp_path / "half.pt" if flag else folder / "checkpoint_last.pt"
    path.write_bytes(sound.read_bytes()[:50_000])
    sentence = refused(corpus, folder, *([flag, path] if flag else GRADUAL))
    assert f"{path} cannot be read: it is truncated or damaged (" in sentence


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS, ids=str)
@pytest.mark.parametrize("flag", [*FLAGS, None])
def test_values_where_others_belong(
    flag: str | None, part: Any, corpus: Path, sound: Path, tmp_path: Path
) -> None:
    content, rng = torch.load(sound, weights_only=False), random.Random(str(part))
    for number in range(25):
        bad = copy.deepcopy(content)
        within = bad
        for key in part:
            within = within[key]
        way, value = rng.choice(list(places(within))), rng.choice(ODD + TENSORS)()
        changed(within, way, value, rng.choice(["set", "set", "drop", "rename"]))
        folder = tmp_path / str(number)
        folder.mkdir()
        path = tmp_path / "evil.pt" if flag else folder / "checkpoint_last.pt"
        torch.save(bad, path)
        works_or_refuses(corpus, folder, *([flag, path] if flag else GRADUAL))


@pytest.mark.slow
@pytest.mark.parametrize("flag", [*FLAGS, None])
def test_bytes_that_were_changed_or_cut(
    flag: str | None, corpus: Path, sound: Path, tmp_path: Path
) -> None:
    for number, bad in enumerate(spoilt(sound.read_bytes(), 60)):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = tmp_path / "evil.pt" if flag else folder / "checkpoint_last.pt"
        path.write_bytes(bad)
        works_or_refuses(corpus, folder, *([flag, path] if flag else GRADUAL))


def works_or_refuses(corpus: Path, folder: Path, *flags: Any) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    try:
        call(corpus, folder, 5, *flags)
    except FloatingPointError:  # fairseq's word on weights that went wild, with a crash.pt
        assert all((folder / name).read_bytes() == content for name, content in before.items())
    except Refusal as refusal:
        assert "\n" not in str(refusal)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
