"""A model that a study starts from: a checkpoint that is there, and the configuration in it."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fairseq_prune
from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.record import read_record
from fairseq_prune.files.writing import file_digest
from fairseq_prune.network.options import HALF, model_options
from fairseq_prune.study.model_file import REFUSED, File, Flags
from fairseq_prune.study.progress import in_words

More = Mapping[str, str | None]
SECTIONS = ("dense", "retrain")
SMALL = "small"  # what a block calls it, trained by the flags of the block
# what a study says itself, for every run
_OWN = (*REFUSED, "no-progress-bar", "no-epoch-checkpoints", *(flag[2:] for flag in HALF))
SAID = ("lr", "max-lr", "max-epoch", "max-update")  # what a plan says of its retraining
_VECTORS = ("encoder_embed_path", "decoder_embed_path")


@dataclass(frozen=True)
class Trained:
    """A model that was trained before the study.

    Args:
        files: its checkpoints by seed; the only one under None where it is that of all seeds.
        content: of one of them.
        changes: flags that count before those of the file, by section.
    """

    name: str
    files: Mapping[int | None, File]
    content: Mapping[str, Any]
    changes: Mapping[str, More]

    @property
    def has_one_file(self) -> bool:
        """Whether the file is the same for all seeds."""
        return None in self.files

    def file(self, seed: int) -> File:
        """The trained model; raises ValueError where there is none for the seed."""
        found = self.files.get(None, self.files.get(seed))
        if found is None:
            said = ", ".join(map(str, self.files))
            raise ValueError(f"{self.name} has no checkpoint for seed {seed}; it has {said}.")
        return found

    @cached_property
    def dense(self) -> Flags:
        """How it was trained."""
        return self.training("dense")

    @cached_property
    def retrain(self) -> Flags:
        """How it is trained further: half the learning rate, a third of the training."""
        return self.training("retrain")

    @property
    def path(self) -> Path:
        """One of its files, to be named in sentences."""
        return next(iter(self.files.values())).path

    @property
    def seconds(self) -> float | None:
        """How long its training took, on the machine where it ran; None where it is not said."""
        state: Mapping[str, Any] = self.content.get("extra_state") or {}
        found = state.get("previous_training_time")
        return float(found) if isinstance(found, int | float) and found > 0 else None

    def about(self, seeds: Sequence[int]) -> list[str]:
        """Sentences on what the study makes of it, for people.

        Args:
            seeds: of the study.
        """
        files = ", ".join(f"{one.path} ({one.digest[:8]})" for one in self.files.values())
        said = " ".join(self.retrain.only(SAID).words("DATA"))
        usual = "half of its learning rate, a third of its training in whole epochs"
        if self.changes.get("retrain"):
            usual += f", and what models.{self.name}.retrain says"
        took = "" if self.seconds is None else f"; its own training took {in_words(self.seconds)}"
        found = [f"{self.name}: {files}; retrained with {said} ({usual}){took}"]
        processes = _processes(self.content)
        if processes > 1:
            found.append(
                f"{self.name}: {processes} processes trained it; a point has --gpus of them, and "
                "batches as much smaller unless retrain has another update-freq"
            )
        if self.has_one_file and len(seeds) > 1:
            found.append(
                f"{self.name}: all seeds train this one model further; their spread is that of "
                "retraining, not of other dense models"
            )
        return found

    def training(self, section: str, more: More | None = None) -> Flags:
        """The flags of a training.

        Args:
            section: ``dense``, ``retrain``, or ``small``: dense training with flags of its own.
            more: flags that count before those of the file.

        Raises ValueError where the file does not say it, or there is no such section.
        """
        if section == SMALL:
            if not more:
                raise ValueError(
                    f"{self.name} is a checkpoint: what makes the model of the stage small another "
                    "one has to be said in flags of the block, {encoder-embed-dim: 128} say."
                )
            section = "dense"
        if section not in SECTIONS:
            raise ValueError(
                f"{self.name} is a checkpoint and has no section {section}; choose dense or "
                "retrain, and say what differs in flags of the block."
            )
        given = {**self.changes.get(section, {}), **(more or {})}
        try:
            flags = Flags(_pairs(self.content, section, given))
            _ = flags.length
        except ValueError as error:
            raise ValueError(f"{self.path}: {str(error).rstrip('.')}.") from None
        return flags

    def check_new(self) -> None:
        """Raises ValueError where weights of its own would not begin as the model's did."""
        options, given = model_options(self.content), self.changes.get("dense", {})
        for name in _VECTORS:
            path, flag = options.get(name), name.replace("_", "-")
            if path and not Path(str(path)).is_file() and flag not in given:
                raise ValueError(
                    f"{self.path} began with the vectors of {path}, which is not there: new "
                    f"weights would begin otherwise; give it as {flag} in models.{self.name}.dense."
                )
        start = _first_model(self.content)
        if start:
            raise ValueError(
                f"{self.path} was itself trained further from {start}: a model of new weights "
                "would be another experiment; leave this stage out."
            )


def read_trained(name: str, paths: Mapping[int | None, Path], changes: Mapping[str, More]) -> (
    Trained
):  # fmt: skip
    """The model in checkpoints, one for all seeds or one for each.

    Raises ValueError where one cannot be read, is pruned, or has another configuration.
    """
    if "fairseq" not in sys.modules:  # imported, it would log what it lacks, between our lines
        logging.basicConfig(level=logging.WARNING)
    import fairseq  # noqa: F401  (it takes seconds, and not every study needs it)

    fairseq_prune.register()
    read = {seed: (File(path, file_digest(path)), _content(path)) for seed, path in paths.items()}
    _check_seeds(list(read.values()))
    every = {seed: file for seed, (file, _) in read.items()}
    model = Trained(name, every, next(iter(read.values()))[1], changes)
    _ = model.dense, model.retrain  # what is wrong with them is said at once
    return model


def _check_seeds(read: Sequence[tuple[File, Mapping[str, Any]]]) -> None:
    """Raise ValueError where files are no seeds of one model."""
    from fairseq_prune.tasks.command_line import training_flags

    (first, content), *others = read
    mine, known = _parted(training_flags(content)), {first.digest: first}
    for file, other in others:
        if file.digest in known:
            raise ValueError(
                f"{known[file.digest].path} and {file.path} are the same model; name it once, "
                "checkpoint: FILE, and give several seeds."
            )
        known[file.digest] = file
        theirs = _parted(training_flags(other))
        for name in {**mine, **theirs}:
            one, another = mine.get(name, "not given"), theirs.get(name, "not given")
            if one != another and name not in _OWN:
                raise ValueError(
                    f"{first.path} and {file.path} were trained in different ways ({name}: {one}, "
                    f"{another}): they are no seeds of one model; give each an entry in models."
                )


def _content(path: Path) -> Mapping[str, Any]:
    """What is in a dense checkpoint; raises ValueError for a pruned one."""
    content = storage.load(str(path))
    record = read_record(content, str(path))
    if record is not None:
        raise ValueError(
            f"{path} has been pruned ({record.recipe.signature()}), and a study compares with a "
            "dense model: give the one that it was made of."
        )
    return content


def _first_model(content: Mapping[str, Any]) -> str | None:
    """What the model's own training started from, as far as the file says."""
    config = content.get("cfg")
    part = config.get("checkpoint") if isinstance(config, Mapping) else None
    found = part.get("finetune_from_model") if isinstance(part, Mapping) else None
    return str(found) if found else None


def _processes(content: Mapping[str, Any]) -> int:
    """How many processes, most often GPUs, trained a model together; 1 where it is not said."""
    config = content.get("cfg")
    part = config.get("distributed_training") if isinstance(config, Mapping) else None
    found = part.get("distributed_world_size") if isinstance(part, Mapping) else None
    return found if isinstance(found, int) else 1


def _pairs(
    content: Mapping[str, Any], section: str, given: More
) -> tuple[tuple[str, str | None], ...]:
    """The flags in a file, those that a study sets itself left out.

    Half precision is in them wherever this runs: a point is the same on every machine.
    """
    from fairseq_prune.tasks.command_line import training_flags
    from fairseq_prune.tasks.retraining import retraining_flags, trained

    words = Flags(tuple(given.items())).words("DATA")
    whole = _parted(training_flags(content, words))
    if section == "retrain":
        found = _parted(retraining_flags(content, words))
    else:
        found = {**_vectors(content), **whole}
        if not any(int(found.get(f"max-{unit}") or 0) for unit in ("epoch", "update")):
            found["max-epoch"] = str(trained(content)[0])
    kept = {name: value for name, value in found.items() if name not in _OWN or name in given}
    halves = {name: value for name, value in whole.items() if f"--{name}" in HALF}
    return tuple({**kept, **halves}.items())


def _vectors(content: Mapping[str, Any]) -> dict[str, str | None]:
    """The flags of the vectors that the model's embeddings began with."""
    options = model_options(content)
    found = {name.replace("_", "-"): options.get(name) for name in _VECTORS}
    return {name: str(path) for name, path in found.items() if path}


def _parted(words: Sequence[str]) -> dict[str, str | None]:
    """Words of a command line as flags with their values; of one that is there twice the last."""
    pairs: dict[str, str | None] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            pairs.pop(name, None)
            pairs[name] = value if equals else None
        elif pairs.get(name, "") is not None:
            raise ValueError(f"its flag {name} has several words, which no study can say")
        else:
            pairs[name] = word
    return pairs
