"""The command line of each point: stock fairseq-train and our own commands, nothing else."""

import sys
from pathlib import Path

import fairseq_prune
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.models import TRAINABLE
from fairseq_prune.optim import SCHEDULERS
from fairseq_prune.pruning.flags import words_of
from fairseq_prune.study.grid import Point
from fairseq_prune.study.model_file import Flags

USER_DIR = str(Path(fairseq_prune.__file__).parent)
TRAIN, OURS = "fairseq-train", "fairseq-prune"

# what each stage leaves, in its point's folder
PRUNED, SENSITIVITY = "pruned.pt", "sensitivity.json"


def result_of(point: Point) -> str:
    """The file that a point leaves, below its folder."""
    if point.stage == "pruned":
        return PRUNED
    if point.stage == "sensitivity":
        return SENSITIVITY
    name = f"checkpoint_{point.checkpoint}.pt"
    return f"tickets/round-{point.rounds}/{name}" if point.stage == "ticket" else name


def command_of(point: Point, folder: Path, source: str | None, settings: Settings) -> list[str]:
    """The words of the command that makes a point.

    Args:
        folder: the point's.
        source: the result of the point that it needs, a path.
        settings: of the evaluation of its data.
    """
    flags = [] if point.recipe is None else words_of(point.recipe)
    if point.stage in ("pruned", "sensitivity"):
        return [OURS, *_on_a_checkpoint(point, folder, str(source), flags, settings.data)]
    assert point.training is not None
    training = [settings.data, "--task", "translation", *point.training.words(settings.data)]
    training += ["--seed", str(point.seed), "--no-progress-bar", "--no-epoch-checkpoints"]
    if point.stage == "ticket":
        flags += ["--rounds", str(point.rounds), "--rewind-to", str(point.rewind_to)]
        return [OURS, "tickets", "--output", str(folder / "tickets"), *flags, "--", *training]
    training += ["--save-dir", str(folder)]
    if point.stage != "dense" or needs_plugin(point.training):
        training += ["--user-dir", USER_DIR]
    if point.stage == "dense":
        return [TRAIN, *training]
    if point.stage == "scratch":
        return [TRAIN, *training, "--prune-mask-from", str(source)]
    if point.stage == "fresh":
        return [TRAIN, *training, *flags]
    assert point.needs is not None
    # the masks of a pruned model are held; a schedule prunes the dense one itself
    own = [] if point.needs.stage == "pruned" else flags
    return [TRAIN, *training, *own, "--finetune-from-model", str(source)]


def needs_plugin(training: Flags) -> bool:
    """Whether stock fairseq-train does not know the architecture or the learning-rate schedule."""
    return training.get("arch") in TRAINABLE or training.get("lr-scheduler") in SCHEDULERS


def _on_a_checkpoint(
    point: Point, folder: Path, source: str, flags: list[str], data: str
) -> list[str]:
    assert point.recipe is not None
    output = str(folder / result_of(point))
    if point.stage == "sensitivity":
        tags = [f"model={point.model}", f"data={point.data}", f"seed={point.seed}"]
        words = [word for tag in tags for word in ("--tag", tag)]
        return ["sensitivity", source, "--data", data, "--output", output, *flags, *words]
    looks = ["--data", data] if point.recipe.looks else []
    return ["apply", source, "--output", output, "--force", *looks, *flags]


def runnable(words: list[str], gpus: int) -> list[str]:
    """The words as this Python runs them; training on ``gpus`` > 1 goes through torchrun."""
    if words[0] == OURS:
        return [sys.executable, "-m", "fairseq_prune.cli.main", *words[1:]]
    program = str(Path(sys.executable).parent / words[0])
    if gpus == 1:
        return [sys.executable, program, *words[1:]]
    ranks = ["--standalone", "--nproc-per-node", str(gpus)]
    return [sys.executable, "-m", "torch.distributed.run", *ranks, program, *words[1:]]
