"""Configurations of models: flags of fairseq-train by section, as in ``configs/train``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from fairseq_prune.pruning.penalty_flags import PENALTIES
from fairseq_prune.study.document import Node, read_yaml

ALWAYS = "model"  # the section that goes into every run
TASK = "translation"  # of a configuration that names none

# what a study sets itself
REFUSED = (
    "save-dir", "restore-file", "finetune-from-model", "seed", "user-dir", "no-save", "cpu",
    "no-last-checkpoints", "no-save-optimizer-state", "checkpoint-suffix", "log-file",
)  # fmt: skip

_OF_A_MODEL = "prune-bert"  # a flag of transformer_bert_fused


@dataclass(frozen=True)
class Flags:
    """Flags of one run, in order; a value of None stands for a flag without one."""

    pairs: tuple[tuple[str, str | None], ...]

    def words(self, data: str) -> list[str]:
        """The command line; ``DATA/`` at the beginning of a value becomes the folder ``data``."""
        words = []
        for name, value in self.pairs:
            if value is None:
                words.append(f"--{name}")
            elif value.startswith("-"):  # argparse would take it for a flag
                words.append(f"--{name}={value}")
            else:
                place = f"{data}/{value[5:]}" if value.startswith("DATA/") else value
                words += [f"--{name}", place]
        return words

    def get(self, name: str) -> str | None:
        """The value of a flag; None where it is not there."""
        return dict(self.pairs).get(name)

    def only(self, names: Sequence[str]) -> "Flags":
        """Those of these names."""
        return Flags(tuple((name, value) for name, value in self.pairs if name in names))

    @property
    def length(self) -> tuple[str, float]:
        """How long it trains: ("update" or "epoch", how many). Raises ValueError without an end."""
        for unit in ("update", "epoch"):
            value = self.get(f"max-{unit}") or "0"
            if not (value.isascii() and value.isdigit()) or len(value) > 9:
                raise ValueError(f"max-{unit} is {value[:20]!r}, which is no number of {unit}s.")
            if int(value):  # 0 is fairseq's word for no end
                return unit, float(value)
        raise ValueError("it has no max-update and no max-epoch: the run would never end.")


@dataclass(frozen=True)
class File:
    """A checkpoint that was there before the study.

    Args:
        path: absolute.
        digest: its SHA-256.
    """

    path: Path
    digest: str


class Model(Protocol):
    """A model of a study: how it is trained, or the checkpoint that it is."""

    @property
    def name(self) -> str:
        """Its key in the section ``models``."""

    @property
    def dense(self) -> Flags:
        """The flags of fairseq-train for its dense training."""

    @property
    def retrain(self) -> Flags | None:
        """Those for retraining; None where it has none."""

    def file(self, seed: int) -> File | None:
        """The trained model that is there already; None where the study trains it."""

    @property
    def has_one_file(self) -> bool:
        """Whether that file is the same for all seeds."""

    def training(self, section: str, more: Mapping[str, str | None] | None = None) -> Flags:
        """The flags of a training.

        Args:
            section: ``dense``, ``retrain`` or ``small``, or one of its configuration.
            more: flags that count before those of the section.

        Raises ValueError where there is no such section, or it makes no sense with the model.
        """

    def check_new(self) -> None:
        """Raises ValueError where weights of its own would not begin as the model's did."""

    def about(self, seeds: Sequence[int]) -> list[str]:
        """Sentences on what the study makes of it, for people; none where its file says all."""


@dataclass(frozen=True)
class Configured:
    """A model that the study trains: flags of fairseq-train for dense training and retraining.

    Args:
        tree: its configuration.
        sections: those that stand for ``dense`` and ``retrain`` there.
    """

    name: str
    dense: Flags
    retrain: Flags | None
    tree: Node
    sections: Mapping[str, str]
    has_one_file = False

    def file(self, seed: int) -> None:
        """There is none: the study trains it."""

    def check_new(self) -> None:
        """All its weights are new."""

    def about(self, seeds: Sequence[int]) -> list[str]:
        """Its file says it all."""
        return []

    def training(self, section: str, more: Mapping[str, str | None] | None = None) -> Flags:
        """The flags of a training.

        Args:
            section: ``dense`` or ``retrain`` for the model's own, else one of its configuration.
            more: flags that count before those of the section.

        Raises ValueError where there is no such section.
        """
        return _flags(self.tree, [ALWAYS, self.sections.get(section, section)], more)


def read_model(name: str, file: Path, sections: Mapping[str, str]) -> Configured:
    """A model by its configuration; it may lack the section to retrain with.

    Raises ValueError as :func:`read_flags` does.
    """
    tree, retrain = read_yaml(file), sections["retrain"]
    again = _flags(tree, [ALWAYS, retrain]) if retrain in tree.entries else None
    return Configured(name, _flags(tree, [ALWAYS, sections["dense"]]), again, tree, sections)


def read_flags(path: Path, sections: Sequence[str]) -> Flags:
    """The flags in ``sections`` of a configuration, the later ones counting.

    Raises ValueError where a section is missing, or sets what a study sets.
    """
    return _flags(read_yaml(path), sections)


def _flags(
    tree: Node, sections: Sequence[str], more: Mapping[str, str | None] | None = None
) -> Flags:
    path = tree.file
    pairs: dict[str, str | None] = {}
    for section in sections:
        if section not in tree.entries:
            known = ", ".join(tree.entries)
            raise ValueError(f"{path} has no section {section}; it has {known}.")
        pairs |= flags_in(tree.entries[section])
    flags = Flags(tuple({**pairs, **(more or {})}.items()))
    try:
        _ = flags.length
    except ValueError as error:
        raise ValueError(f"{path}, sections {' and '.join(sections)}: {error}") from None
    return flags


def flags_in(node: Node) -> dict[str, str | None]:
    """The flags of fairseq-train that stand here; raises ValueError for what a study sets."""
    pairs: dict[str, str | None] = {}
    for name, entry in node.entries.items():
        _check(name, entry)
        pairs[name] = None if entry.value == "true" else entry.text
    return pairs


def is_recipe_flag(name: str) -> bool:
    """Whether a flag is one of a recipe, and not of a penalty or an architecture."""
    return name.startswith("prune-") and name not in (*_penalties(), _OF_A_MODEL)


def _check(name: str, node: Node) -> None:
    if name in REFUSED or is_recipe_flag(name):
        node.fail(f"{name} has no place in a model's configuration: the study sets it.")


def _penalties() -> set[str]:
    """Flags of our criterions, which are no part of a recipe."""
    return {
        f"prune-{setting.name.replace('_', '-')}"
        for penalty in PENALTIES.values()
        for setting in fields(penalty.settings)
    }
