"""Scoring goes through the task's own step, and is tried before the first update."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints.storage import masks_of
from fairseq_prune.network.probing import Sample, gradient, undisturbed
from fairseq_prune.network.weights import of_module
from fairseq_prune.tasks import _hooks
from fairseq_prune.tasks._draws import drawn_by
from tests.conftest import ROOT, differences, read, run, torchrun, train_here, trained
from tests.tasks.stock import TASKS, flags_of

PRUNE = ["--prune-scheme", "class-uniform", "--prune-sparsity", 0.5, "--prune-start", 2]
FAST = ("multilingual_translation", "iterative_nonautoregressive_transformer")
# some of what these have has no part in the loss
RANKS = ["--user-dir", ROOT / "fairseq_prune", "--distributed-backend", "gloo"]
UNUSED = {
    "sentence_prediction": "lm_head",
    "sentence_ranking": "lm_head",
}
CASES = [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in TASKS]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stock")


def by(saliency: str, name: str, batches: int = 2) -> list[Any]:
    """Flags that prune by it, at update 2 of 3."""
    left_out = ["--prune-exclude", UNUSED[name]] if name in UNUSED else []
    return [*PRUNE, "--prune-saliency", saliency, "--prune-score-batches", batches, *left_out]


class Seen(Exception):
    """The end of a run whose sample was looked at."""


@pytest.fixture
def looked(data: Path, tmp_path: Path) -> Callable[..., Any]:
    """Trains until scoring would be tried, and gives what ``look(task, criterion)`` makes."""

    def call(name: str, look: Callable[[Any, Any], Any], *flags: Any) -> Any:
        found = []

        def seen(task: Any, trainer: Any) -> None:
            task.session.sampler = task._sampler(trainer.criterion)
            found.append(look(task, trainer.criterion))
            raise Seen

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Seen):
            patch.setattr(_hooks.PruningHooks, "_look_ahead", seen)
            train_here([*flags_of(name, data), "--save-dir", tmp_path, *by("snip", name), *flags])
        return found[0]

    return call


def slopes(model: Any, loss: Any) -> dict[str, torch.Tensor]:
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {n: g for n, g in zip(named, found, strict=True) if g is not None}


def test_language_pairs_are_scored_by_their_own_models(looked: Any) -> None:
    def look(task: Any, criterion: Any) -> Any:
        model, sample = task.session.model, task.session.sampler(1, 1)
        found = gradient(sample, of_module(model))
        (batch,) = sample.batches
        with undisturbed(model):
            pairs = task.datasets["train"].collater([task.datasets["train"][n] for n in batch])
            done = [criterion(model.models[pair], pairs[pair])[:2] for pair in pairs]
            size = sum(float(size) for _, size in done)
            expected = slopes(model, sum(loss for loss, _ in done))
        examples = sample.examples(batch)
        assert len(examples) == 2 * len(batch)
        one, size_of_one = sample.loss(examples[0])
        other, size_of_other = sample.loss(examples[1])
        both, size_of_both = sample.loss([batch[0]])
        torch.testing.assert_close(one + other, both)
        assert size_of_one + size_of_other == size_of_both
        return found, expected, size

    found, expected, size = looked("multilingual_translation", look)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name].double() / size)
        assert bool(value.any())


def test_the_noise_of_a_step_is_the_loss_s_own(looked: Any) -> None:
    def look(task: Any, criterion: Any) -> Any:
        model, sample = task.session.model, task.session.sampler(1, 1)
        (batch,) = sample.batches
        with undisturbed(model):
            inputs = task.datasets["train"].collater([task.datasets["train"][n] for n in batch])
            inputs["prev_target"] = task.inject_noise(inputs["target"])  # all is masked
            expected, size, _ = criterion(model, inputs)
            return sample.loss(batch), (expected, float(size))

    found, expected = looked("nonautoregressive_transformer", look)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", CASES)
def test_a_batch_has_one_loss_and_asking_leaves_no_trace(name: str, looked: Any) -> None:
    def look(task: Any, criterion: Any) -> Any:
        sample: Sample = task.session.sampler(2, 1)
        before = {n: v for n, v in vars(task).items() if isinstance(v, int | float)}
        modes = [m.training for m in sample.model.modules()]
        state = torch.get_rng_state()
        losses = [sample.loss(sample.batches[0]) for _ in range(2)]
        assert torch.equal(state, torch.get_rng_state())
        assert modes == [m.training for m in sample.model.modules()]
        assert before == {n: v for n, v in vars(task).items() if isinstance(v, int | float)}
        return losses

    one, other = looked(name, look, "--dropout", 0.3)
    assert one[0].requires_grad and torch.equal(one[0], other[0]) and one[1] == other[1] > 0


@pytest.mark.parametrize("name", CASES)
def test_a_run_prunes_and_the_trial_changes_nothing(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # fairseq's thread draws of the same generators: denoising is not the same twice with it
    flags = [*flags_of(name, data), *by("snip", name), "--data-buffer-size", 0]
    train_here([*flags, "--save-dir", tmp_path / "tried"])
    monkeypatch.setattr(_hooks, "check_ahead", lambda *_: None)
    train_here([*flags, "--save-dir", tmp_path / "not"])
    tried, other = (read(tmp_path / run / "checkpoint_last.pt") for run in ("tried", "not"))
    masks = masks_of(tried, "checkpoint")
    assert masks is not None and masks.sparsity() == pytest.approx(0.5, abs=1e-2)
    assert differences(trained(tried), trained(other)) == []


@pytest.mark.slow
def test_ranks_train_on_as_if_nothing_had_been_tried(data: Path, tmp_path: Path) -> None:
    name = "multilingual_translation"
    flags = [*flags_of(name, data), *RANKS, "--save-interval-updates", 1]
    run(*torchrun(2), *flags, *by("snip", name), "--save-dir", tmp_path / "pruned")
    run(*torchrun(2), *flags, "--save-dir", tmp_path / "dense")
    pruned, dense = (read(tmp_path / of / "checkpoint_1_1.pt") for of in ("pruned", "dense"))
    for part in ("model", "optimizer"):
        assert differences(trained(pruned)[part], trained(dense)[part]) == []
    assert masks_of(read(tmp_path / "pruned" / "checkpoint_last.pt"), "") is not None


@pytest.mark.slow
def test_ranks_are_refused_together(data: Path, tmp_path: Path) -> None:
    flags = [*flags_of("online_backtranslation", data), *RANKS]
    more = [*PRUNE, "--prune-saliency", "obd", "--prune-score-batches", 1]
    out = run(*torchrun(2), *flags, *more, "--save-dir", tmp_path / "run", fails=True)
    assert "takes no example of one of its data sets without the others" in out
    assert not list((tmp_path / "run").glob("*.pt"))


# what would have failed at update 2, by what it trains and how it is pruned
REFUSED = {
    "examples of one data set": (
        "online_backtranslation", "obd",
        "takes no example of one of its data sets without the others",
    ),
    "logits": ("nacrf_transformer", "grasp", "it is not known where they are in what"),
    "padding": (
        "iterative_nonautoregressive_transformer", "wanda",
        "padded even where they are alone",
    ),
    "convolutions": ("speech_to_text", "wanda", "scores matrices, and encoder.subsample"),
    "parts that take no part": (
        "sentence_ranking", "snip", "lm_head.dense.weight are all zero",
    ),
    "a linear copy": ("cmlm_transformer", "synflow", "does not know how to run a CMLMNA"),
}  # fmt: skip


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The updates that runs come to."""
    done: list[int] = []
    original = _hooks.PruningHooks.optimizer_step

    def step(task: Any, optimizer: Any, model: Any, update_num: int) -> None:
        done.append(update_num)
        original(task, optimizer, model, update_num)

    monkeypatch.setattr(_hooks.PruningHooks, "optimizer_step", step)
    return done


@pytest.mark.parametrize("what", REFUSED)
def test_what_will_not_work_is_refused_before_the_first_update(
    what: str, data: Path, tmp_path: Path, updates: list[int]
) -> None:
    name, saliency, sentence = REFUSED[what]
    flags = [*PRUNE, "--prune-saliency", saliency]
    with pytest.raises(SystemExit, match=sentence):
        train_here([*flags_of(name, data), *flags, "--save-dir", tmp_path])
    assert updates == [] and not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize("optimizer", ["sgd", "adafactor", "adamax", "adam"])
def test_an_optimizer_without_moments_is_refused_at_once(
    optimizer: str, data: Path, tmp_path: Path, updates: list[int]
) -> None:
    flags = [*flags_of("translation, lstm", data), *PRUNE, "--prune-saliency", "obd-adam"]
    flags += ["--save-dir", tmp_path, "--optimizer", optimizer]
    if optimizer == "adam":
        train_here(flags)
        assert updates == [0, 1, 2]
        return
    with pytest.raises(SystemExit, match="needs Adam's second moments"):
        train_here([*flags, *(["--lr", 0.1] if optimizer == "sgd" else [])])
    assert updates == []


def test_what_one_small_batch_does_not_see_is_looked_for_in_others(
    data: Path, tmp_path: Path
) -> None:
    """The rarest words of an adaptive softmax have matrices of their own."""
    flags = ["--arch", "transformer_lm", "--adaptive-softmax-cutoff", "8,12", "--criterion",
             "adaptive_loss", "--batch-size", 2, "--adaptive-softmax-factor", 2]  # fmt: skip
    base = [*flags_of("language_modeling", data), *flags]
    train_here([*base, *by("snip", "", batches=20), "--save-dir", tmp_path / "run"])
    assert masks_of(read(tmp_path / "run" / "checkpoint_last.pt"), "") is not None


def test_rigl_s_gradient_is_tried_too(data: Path, tmp_path: Path, updates: list[int]) -> None:
    flags = ["--prune-scheme", "erk", "--prune-saliency", "random", "--prune-schedule", "rigl",
             "--prune-end", 3, "--prune-every", 1, "--prune-score-batches", 1]  # fmt: skip
    train_here([*flags_of("multilingual_translation", data), *flags, "--save-dir", tmp_path])
    assert updates == [0, 1, 2]


@pytest.mark.parametrize(
    "saliency", ["gate", pytest.param("mutual-information", marks=pytest.mark.slow)]
)
def test_units_of_language_pairs_are_scored(saliency: str, data: Path, tmp_path: Path) -> None:
    flags = [*by(saliency, ""), "--prune-structure", "ffn", "--batch-size", 1]
    train_here([*flags_of("multilingual_translation", data), *flags, "--save-dir", tmp_path])
    assert masks_of(read(tmp_path / "checkpoint_last.pt"), "") is not None


def test_generators_come_back() -> None:
    import random

    import numpy as np

    def states() -> list[Any]:
        drawn: Any = np.random.get_state()[1]
        return [random.getstate(), drawn.tolist(), torch.get_rng_state().tolist()]

    before, drawn = states(), []
    for _ in range(2):
        with drawn_by(7):
            drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert drawn[0] == drawn[1] and states() == before


def test_the_thread_that_makes_batches_waits() -> None:
    import queue
    import threading

    from fairseq.data.iterators import BackgroundConsumer

    from fairseq_prune.tasks._draws import take_turns

    take_turns()
    drawn: queue.Queue[Any] = queue.Queue()
    source = (float(torch.rand(())) for _ in range(3))
    with drawn_by(1):
        thread = BackgroundConsumer(drawn, source, None, None)
        thread.start()
        thread.join(0.2)
        assert drawn.empty() and isinstance(thread, threading.Thread)
    thread.join(10)
    assert drawn.qsize() == 4  # and the mark that there are no more


@pytest.mark.parametrize(
    "saliency",
    [
        "snip",
        pytest.param("obd", marks=pytest.mark.slow),
        "wanda",
        pytest.param("synflow", marks=pytest.mark.slow),
    ],
)
def test_apply_prunes_as_training_would(saliency: str, data: Path, tmp_path: Path) -> None:
    """Two pairs of languages, each with a model of its own."""
    from fairseq_prune.cli.main import main

    flags = flags_of("multilingual_translation", data)
    scored = [] if saliency == "synflow" else ["--prune-score-batches", 2]
    how = [*PRUNE[:4], "--prune-saliency", saliency, *scored]
    train_here([*flags, "--save-dir", tmp_path / "dense"])
    dense = tmp_path / "dense" / "checkpoint_last.pt"
    train_here([*flags, *how, "--finetune-from-model", dense, "--save-dir", tmp_path / "tuned"])
    tuned = masks_of(read(tmp_path / "tuned" / "checkpoint_last.pt"), "")
    out = tmp_path / "applied.pt"
    given = map(str, [dense, "--output", out, "--data", flags[0], *how])
    assert main(["apply", *given]) == 0
    applied = masks_of(read(out), "")
    assert tuned is not None and applied is not None and applied.digest() == tuned.digest()


def test_apply_says_what_a_task_does_not_take(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fairseq_prune.cli.main import main

    flags = flags_of("online_backtranslation", data)
    train_here([*flags, "--save-dir", tmp_path])
    given = [tmp_path / "checkpoint_last.pt", "--output", tmp_path / "x.pt", "--data", flags[0]]
    how = [*PRUNE[:4], "--prune-saliency", "obd"]
    assert main(["apply", *map(str, [*given, *how])]) == 2
    assert "takes no example of one of its data sets without the others" in capsys.readouterr().err
    assert not (tmp_path / "x.pt").exists()
