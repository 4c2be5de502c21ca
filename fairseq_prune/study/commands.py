"""The command line of each point: stock fairseq-train and our own commands, nothing else."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import fairseq_prune
from fairseq_prune.models import TRAINABLE
from fairseq_prune.optim import SCHEDULERS
from fairseq_prune.pruning.flags import words_of
from fairseq_prune.pruning.penalty_flags import PENALTIES
from fairseq_prune.study.model_file import TASK, Flags
from fairseq_prune.study.point import Point, is_timed

USER_DIR = str(Path(fairseq_prune.__file__).parent)
TRAIN, OURS = "fairseq-train", "fairseq-prune"


@dataclass(frozen=True)
class Job:
    """A point to be made.

    Args:
        point: what.
        folder: its own.
        result: the file to leave there.
        sources: paths of the results of what it starts from, the nearest first.
        data: binarised data.
    """

    point: Point
    folder: Path
    result: str
    sources: Sequence[str]
    data: str

    @property
    def flags(self) -> list[str]:
        """The recipe's flags; none for a model that is not pruned."""
        return [] if self.point.recipe is None else words_of(self.point.recipe)

    @property
    def output(self) -> list[str]:
        """Where one of our own commands writes."""
        return ["--output", str(self.folder / self.result)]

    @property
    def looks(self) -> list[str]:
        """The data, where the recipe scores on them."""
        recipe = self.point.recipe
        return ["--data", self.data] if recipe is not None and recipe.looks else []


def train(job: Job) -> list[str]:
    """Trains a fresh model that is not pruned."""
    training = job.point.training
    assert training is not None
    return _train(job, plugin=needs_plugin(training))


def train_on(job: Job) -> list[str]:
    """Trains further what is not pruned."""
    return [*train(job), "--finetune-from-model", job.sources[0]]


def train_pruned(job: Job) -> list[str]:
    """Trains a fresh model, pruned before its first update or by a schedule."""
    return [*_train(job), *job.flags]


def train_under(job: Job) -> list[str]:
    """Trains a fresh model under the masks of another."""
    return [*_train(job), "--prune-mask-from", job.sources[0]]


def retrain(job: Job) -> list[str]:
    """Trains further: masks that are there are held, a schedule prunes by itself."""
    recipe = job.point.recipe
    own = job.flags if recipe is not None and is_timed(recipe) else []
    return [*_train(job), *own, "--finetune-from-model", job.sources[0]]


def tickets(job: Job) -> list[str]:
    """Trains, prunes and rewinds in rounds."""
    own = [word for name, value in job.point.settings for word in (f"--{name}", str(value))]
    output = ["--output", str(job.folder / "tickets")]
    return [OURS, "tickets", *output, *job.flags, *own, "--", *_training(job)]


def apply(job: Job) -> list[str]:
    """Prunes a trained model."""
    return [OURS, "apply", job.sources[0], *job.output, "--force", *job.looks, *job.flags]


def control(job: Job) -> list[str]:
    """Makes a control of a pruned model, whose dense one is the second source."""
    kind = str(job.point.own["kinds"])
    takes = ["--data", job.data] if kind == "reinit" else ["--weights", job.sources[1]]
    seed = ["--kind", kind, "--seed", str(job.point.seed)]
    return [OURS, "control", job.sources[0], *takes, *job.output, "--force", *seed]


def shrink(job: Job) -> list[str]:
    """Cuts pruned units out."""
    return [OURS, "shrink", job.sources[0], *job.output, "--force"]


def sensitivity(job: Job) -> list[str]:
    """Prunes one weight class at a time."""
    point = job.point
    tags = [f"model={point.model}", f"data={point.data}"]
    tags += [] if point.seed is None else [f"seed={point.seed}"]
    words = [word for tag in tags for word in ("--tag", tag)]
    start = [OURS, "sensitivity", job.sources[0], "--data", job.data]
    return [*start, *job.output, *job.flags, *words]


def needs_plugin(training: Flags) -> bool:
    """Whether stock fairseq-train does not know the task, the architecture, the criterion or the
    learning-rate schedule."""
    arch, task = training.get("arch") or "", training.get("task") or ""
    if arch in TRAINABLE or arch.startswith("shrunk_") or task.startswith("pruned_"):
        return True
    criterion = training.get("criterion") or ""
    penalised = any(criterion.endswith(f"_{name}") for name in PENALTIES)
    return penalised or training.get("lr-scheduler") in SCHEDULERS


def _train(job: Job, plugin: bool = True) -> list[str]:
    own = ["--user-dir", USER_DIR] if plugin else []
    return [TRAIN, *_training(job), "--save-dir", str(job.folder), *own]


def _training(job: Job) -> list[str]:
    training = job.point.training
    assert training is not None
    task = ["--task", TASK] if training.get("task") is None else []
    words = [job.data, *task, *training.words(job.data), "--seed", str(job.point.seed)]
    return [*words, "--no-progress-bar", "--no-epoch-checkpoints"]


def runnable(words: list[str], gpus: int) -> list[str]:
    """The words as this Python runs them; training on ``gpus`` > 1 goes through torchrun."""
    if words[0] == OURS:
        return [sys.executable, "-m", "fairseq_prune.cli.main", *words[1:]]
    program = str(Path(sys.executable).parent / words[0])
    if gpus == 1:
        return [sys.executable, program, *words[1:]]
    ranks = ["--standalone", "--nproc-per-node", str(gpus)]
    return [sys.executable, "-m", "torch.distributed.run", *ranks, program, *words[1:]]
