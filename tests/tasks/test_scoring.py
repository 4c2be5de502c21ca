"""Saliencies that look at data, inside real runs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints.storage import masks_of
from fairseq_prune.saliency import SALIENCIES
from tests.conftest import TRAINING, Train, differences, read, train_here, trained
from tests.tasks.plausible import FCONV

NEEDY = [name for name, entry in SALIENCIES.items() if entry.needs in ("data", "network")]
# the embeddings of words that the few batches lack would get no score at all
FLAGS = ["--prune-scheme", "class-uniform", "--prune-sparsity", 0.5, "--prune-score-batches", 2]


def flags_of(saliency: str) -> list[Any]:
    """Flags that prune by it; two batches are sample enough."""
    scored = SALIENCIES[saliency].needs == "data"
    return [*(FLAGS if scored else FLAGS[:4]), "--prune-saliency", saliency]


def digest(checkpoint: dict[str, Any]) -> str:
    found = masks_of(checkpoint, "checkpoint")
    assert found is not None
    return found.digest()


def pairs(saliencies: Iterable[str], *long: str) -> list[Any]:
    """Each with both architectures; those of ``long``, which take long, with one of them slowly."""
    every = [(saliency, arch) for saliency in saliencies for arch in ("lstm", "transformer")]
    slow = pytest.mark.slow
    return [
        pytest.param(*p, marks=slow if p[0] in long and p[1] == "transformer" else ())
        for p in every
    ]


@pytest.mark.parametrize(
    ("saliency", "arch"), pairs(NEEDY, "synflow", "obd", "obd-hutchinson", "grasp")
)
def test_a_run_prunes_by_it_and_reproduces(
    train: Train, tmp_path: Path, arch: str, saliency: str
) -> None:
    flags = ["--max-update", 2, *flags_of(saliency)]
    one, other = (train(tmp_path / name, *flags, arch=arch) for name in "ab")
    masks = masks_of(one, "checkpoint")
    assert masks is not None and masks.sparsity() == pytest.approx(0.5, abs=1e-3)
    assert digest(one) == digest(other)
    assert differences(trained(one)["model"], trained(other)["model"]) == []


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_scoring_leaves_the_run_as_it_was(train: Train, tmp_path: Path, arch: str) -> None:
    # with the masks of a saliency that needs no data, scoring aside must change nothing at all
    from fairseq_prune.saliency.obd import obd
    from fairseq_prune.tasks import _session

    plain = train(tmp_path / "plain", "--max-update", 3, *FLAGS[:4], arch=arch)
    with pytest.MonkeyPatch.context() as patch:
        scored = []
        original = _session.Session._prune

        def prune(self: Any, step: int, now: int) -> None:
            sample = self.sampler(2, 1)
            from fairseq_prune.saliency import Probe

            scored.append(obd(Probe(self.weights, None, 1, sample)))
            original(self, step, now)

        patch.setattr(_session.Session, "_prune", prune)
        beside = train(tmp_path / "beside", "--max-update", 3, *FLAGS[:4], arch=arch)
    assert len(scored) == 1
    a, b = trained(plain), trained(beside)
    assert differences(a["model"], b["model"]) == []
    assert differences(a["optimizer"], b["optimizer"]) == []


@pytest.mark.parametrize(
    ("saliency", "arch"), pairs(["snip", "grasp", "obd", "wanda", "synflow"], "synflow")
)
def test_apply_prunes_as_training_would(
    train: Train, corpus: Path, tmp_path: Path, arch: str, saliency: str
) -> None:
    from fairseq_prune.cli.main import main

    flags = flags_of(saliency)
    train(tmp_path / "dense", "--max-update", 3, arch=arch)
    dense = tmp_path / "dense" / "checkpoint_last.pt"
    tuned = train(
        tmp_path / "tuned", "--max-update", 1, *flags, "--finetune-from-model", dense, arch=arch
    )
    out = tmp_path / "applied.pt"
    given = [str(f) for f in (dense, "--output", out, *flags, "--data", corpus)]
    assert main(["apply", *given]) == 0
    assert digest(read(out)) == digest(tuned)


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_adam_moments_score_while_training_and_after(
    train: Train, tmp_path: Path, arch: str
) -> None:
    from fairseq_prune.cli.main import main

    flags = [*FLAGS[:4], "--prune-saliency", "obd-adam"]
    train(tmp_path / "dense", "--max-update", 3, arch=arch)
    dense = tmp_path / "dense" / "checkpoint_last.pt"
    out = tmp_path / "applied.pt"
    assert main(["apply", str(dense), "--output", str(out), *map(str, flags)]) == 0
    # the same run, had it pruned itself after its third update
    during = train(tmp_path / "during", "--max-update", 3, *flags, "--prune-start", 3, arch=arch)
    assert digest(read(out)) == digest(during)
    # an optimizer that has none, and a run that has not begun
    for more in (["--optimizer", "sgd", "--prune-start", 2], []):
        with pytest.raises(SystemExit, match="needs Adam's second moments"):
            train(tmp_path / "none", "--max-update", 3, *flags, *more)


def test_words_that_the_sample_lacks_are_counted(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    flags = ["--prune-saliency", "snip", "--prune-score-batches", 1, "--batch-size", 1]
    train(tmp_path, "--max-update", 1, *FLAGS[:4], *flags)
    assert any("are not in the batches scored on" in r.getMessage() for r in caplog.records)


@pytest.mark.parametrize("saliency", ["snip", pytest.param("synflow", marks=pytest.mark.slow)])
def test_checkpointed_activations_change_no_mask(
    saliency: str, train: Train, tmp_path: Path
) -> None:
    flags = ["--max-update", 1, "--dropout", 0, *flags_of(saliency)]
    plain = train(tmp_path / "plain", *flags, arch="transformer")
    more = ["--checkpoint-activations", "--offload-activations"]
    assert digest(train(tmp_path / "c", *flags, *more, arch="transformer")) == digest(plain)


def test_weight_normalisation_is_scored_in_single(corpus: Path, tmp_path: Path) -> None:
    start = ["--memory-efficient-fp16", "--max-update", 1, "--prune-start", 1]
    snip = ["--prune-saliency", "snip", "--prune-score-batches", 1, "--prune-sparsity", 0.2]
    train_here([corpus, *FCONV, *TRAINING, "--save-dir", tmp_path, *FLAGS[:2], *start, *snip])
    assert masks_of(read(tmp_path / "checkpoint_last.pt"), "checkpoint") is not None


def test_half_precision_is_scored_in_single(train: Train, corpus: Path, tmp_path: Path) -> None:
    from fairseq import checkpoint_utils

    from fairseq_prune.network.probing import gradient
    from fairseq_prune.tasks._sample import sampler

    train(tmp_path, "--max-update", 1)
    (model,), saved, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(tmp_path / "checkpoint_last.pt")], arg_overrides={"data": str(corpus)}
    )
    task.load_dataset("train")
    criterion = task.build_criterion(saved.criterion)
    half = model.half()
    name = "encoder.lstm.weight_ih_l0"
    found = gradient(sampler(task, half, criterion, saved.dataset)(2, 1), [name])
    assert next(half.parameters()).dtype == torch.float16
    expected = gradient(sampler(task, half.float(), criterion, saved.dataset)(2, 1), [name])
    torch.testing.assert_close(found[name], expected[name])
    assert bool(found[name].any())
