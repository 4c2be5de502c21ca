"""One benchmark: what every model takes in bytes and memory, how fast its engines translate, and
what their translations are worth."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fairseq_prune.bench import ENGINES, OWN, REFERENCE, quality
from fairseq_prune.bench.batches import Batch, Lengths, Work
from fairseq_prune.bench.engines import Engine
from fairseq_prune.bench.kinds import FAIRSEQ, KINDS, Kind, kind_of_folder
from fairseq_prune.bench.memory import in_a_copy
from fairseq_prune.bench.sizes import sizes
from fairseq_prune.bench.speed import Setting, measure
from fairseq_prune.checkpoints.counts import count, together
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.texts import Texts
from fairseq_prune.exports.forms import (
    COMPACT,
    as_checkpoint,
    form_of,
    read_folder,
    size_of,
    task_of,
)
from fairseq_prune.tasks.opening import open_checkpoint
from fairseq_prune.tasks.own import members_of

Facts = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be measured.

    Args:
        models: paths by label; checkpoints, compact files and folders of exports.
        against: the label of the one that the others are compared with.
        kinds: names of engines, for checkpoints and compact files; None: those that are offered
            and for a model's architecture.
        sentences: how many of the test set.
        threads: of each engine.
        cpu_time: whether to measure this process's time on the processor in place of the clock's.
        forced: whether the search takes as many steps as the references have tokens.
        bleu: whether to measure BLEU and chrF, of all of the test set.
    """

    models: dict[str, str]
    against: str
    settings: Settings
    kinds: Sequence[str] | None
    beams: Sequence[int]
    batches: Sequence[int]
    sentences: int
    rounds: int
    threads: int
    cpu_time: bool
    forced: bool
    bleu: bool

    @property
    def grid(self) -> list[Setting]:
        """The settings of the search, one after the other."""
        return [Setting(beam, batch) for beam in self.beams for batch in self.batches]

    def work(self, setting: Setting, forced: bool | None = None) -> Work:
        """What is translated in a setting."""
        forced = self.forced if forced is None else forced
        return Work(
            self.settings, self.sentences, forced, setting.beam, setting.batch, self.threads
        )

    @property
    def largest(self) -> Setting:
        """The setting in which memory is measured."""
        return Setting(max(self.beams), max(self.batches))

    def kinds_of(self, label: str, opened: str) -> list[Kind]:
        """The engines for a model.

        The one that is compared with is in fairseq, too, and in what the folders among the models
        are for.

        Args:
            opened: the checkpoint that fairseq opens for it, or the export.
        """
        folder_of = {name: kind_of_folder(path) for name, path in self.models.items()}
        if (own := folder_of[label]) is not None:
            return [own]
        kinds = [KINDS[name] for name in self.kinds or ENGINES]
        if self.kinds is None:
            kinds = [kind for kind in kinds if kind.fits(opened)]
        if label == self.against:
            kinds = [FAIRSEQ, *kinds, *filter(None, folder_of.values())]
        return list({kind.name: kind for kind in kinds}.values())


@dataclass(frozen=True)
class _Case:
    """A model in an engine.

    Args:
        path: of what the engine opens.
        form: in which the model's bytes are counted.
        peak: of memory, in bytes.
    """

    name: str
    label: str
    kind: Kind
    path: str
    form: str
    peak: int | None


class _LeftOut:
    """Models that an engine cannot take, those of the same reason together."""

    def __init__(self) -> None:
        self._labels: dict[tuple[str, str], list[str]] = {}

    def add(self, label: str, kind: Kind, error: ValueError, *paths: str) -> None:
        """Note one; the reason may name any of these paths."""
        why = str(error)
        for path in paths:
            why = why.replace(path, "it")
        self._labels.setdefault((kind.name, why), []).append(label)

    @property
    def sentences(self) -> list[str]:
        """One for each engine and reason."""
        return [
            f"{', '.join(labels)} in {name}: {why}" for (name, why), labels in self._labels.items()
        ]


def run(asked: Asked, say: Say) -> Facts:
    """The whole benchmark, as ``bench.json`` has it.

    Args:
        say: is told how far it is.

    Raises ValueError where a model does not translate.
    """
    torch.set_num_threads(1)  # until no more processes are copied: threads would be missing there
    facts: Facts = {"against": asked.against, "models": {}, "engines": {},
                    "length": REFERENCE if asked.forced else OWN, "own_lengths": [],
                    "quality": [], "speeds": []}  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        opened = {n: stack.enter_context(as_checkpoint(p)) for n, p in asked.models.items()}
        folders = {label: Path(temporary) / str(n) for n, label in enumerate(opened)}
        for folder in folders.values():
            folder.mkdir()
        left_out = _LeftOut()
        cases = list(_cases(asked, opened, folders, left_out))
        torch.set_num_threads(asked.threads)
        for label, folder in folders.items():
            facts["models"][label] = _of_the_model(asked.models[label], opened[label], folder)
        say("measured bytes and memory")
        engines = dict(_open(asked, cases, left_out))
        facts["left_out"] = left_out.sentences
        cases = [case for case in cases if case.name in engines]
        _compare(facts, cases)
        if asked.bleu:
            facts["quality"] = list(_quality(asked, cases, engines, facts["base"], say))
        _measure(asked, engines, facts, say)
    return facts


def _cases(
    asked: Asked, opened: dict[str, str], folders: dict[str, Path], left_out: _LeftOut
) -> Iterator[_Case]:
    """Every model in every engine, exported where that reads an export, and its peak of memory.

    What is exported is so in copies of this process, as memory is measured in copies that must not
    hold anything of that.
    """
    for label, path in asked.models.items():
        is_export = kind_of_folder(path) is not None
        refines = task_of(path, asked.settings.model_overrides).refines
        note = " (no beam: it refines whole sentences)" if refines else ""
        if is_export and read_folder(path).has_shortlist:
            note = " (with its shortlist)"
        for kind in asked.kinds_of(label, opened[label]):
            given, form = opened[label], kind.name
            if kind.export is None:
                form = "compact" if form_of(path) == COMPACT else "stripped"
            elif not is_export:
                given = str(folders[label] / kind.name)
                try:
                    in_a_copy(partial(kind.export, opened[label], asked.settings, given))
                except ValueError as error:
                    left_out.add(label, kind, error, opened[label], path)
                    continue
            peak = kind.peak(kind.open, given, asked.work(asked.largest))
            yield _Case(f"{label}: {kind.name}{note}", label, kind, given, form, peak)


def _open(asked: Asked, cases: Sequence[_Case], left_out: _LeftOut) -> Iterator[tuple[str, Engine]]:
    for case in cases:
        try:
            with contextlib.redirect_stdout(None):
                yield case.name, case.kind.open(case.path, asked.settings, asked.threads)
        except ValueError as error:
            if case.label == asked.against and case.kind is FAIRSEQ:
                raise
            left_out.add(case.label, case.kind, error, case.path, asked.models[case.label])


def _of_the_model(path: str, opened: str, folder: Path) -> Facts:
    """Weights, work and bytes in every form."""
    if kind_of_folder(path) is not None:
        made = read_folder(path).made
        weights = {name: made[name] for name in ("parameters", "nonzero") if name in made}
        return {"checkpoint": path, **weights, "bytes": {"as it is": size_of(path)}}
    every = [open_checkpoint(member) for member in members_of(opened)]
    bytes_of = [sizes(one.path, one.content, folder) for one in every]
    found = {form: sum(one[form] for one in bytes_of) for form in bytes_of[0]}
    return {
        "checkpoint": path,
        **together([count(one) for one in every]).as_dict(),
        "bytes": {**found, "as it is": size_of(path)},
    }


def _compare(facts: Facts, cases: Sequence[_Case]) -> None:
    """Say of each engine what it takes, which one of the model that is compared with is of the same
    kind, and what bytes, in the same form, and memory are in its."""
    engines, models = facts["engines"], facts["models"]
    for case in cases:
        forms = models[case.label]["bytes"]
        if case.kind.export is not None:
            forms[case.form] = size_of(case.path)
        engines[case.name] = {
            "model": case.label, "kind": case.kind.name, "form": case.form,
            "memory_bytes": case.peak, "bytes": forms[case.form],
        }  # fmt: skip
    names = {c.kind.name: c.name for c in cases if c.label == facts["against"]}
    facts["base"] = next(iter(names.values()))
    for said in engines.values():
        other = said["against"] = names.get(said["kind"])
        base = models[facts["against"]]["bytes"].get(said["form"]) if other else None
        said["bytes_ratio"] = said["bytes"] / base if base else None
        peaks = said["memory_bytes"], engines[other]["memory_bytes"] if other else None
        said["memory_ratio"] = None if None in peaks else peaks[0] / peaks[1]


def _quality(
    asked: Asked, cases: Sequence[_Case], engines: dict[str, Engine], base: str, say: Say
) -> Iterator[Facts]:
    """The scores of each engine's own translations, by beam."""
    for beam in asked.beams:
        texts: dict[str, Texts] = {}
        for case in cases:
            same = f"{case.label}: {case.kind.like}"
            if same not in texts:
                say(f"translating {asked.settings.gen_subset} by {case.name}, beam {beam}")
                same, texts[case.name] = case.name, engines[case.name].texts(beam)
            texts[case.name] = texts[same]
        yield from quality.scored(texts, beam, base)


def _measure(asked: Asked, engines: dict[str, Engine], facts: Facts, say: Say) -> None:
    lengths = engines[facts["base"]].lengths(asked.sentences)
    facts["asked"] = {
        "sentences": len(lengths.source), "subset": asked.settings.gen_subset,
        "rounds": asked.rounds, "threads": asked.threads, "cpu_time": asked.cpu_time,
    }  # fmt: skip
    most = min(engine.most for engine in engines.values())

    def batches(setting: Setting, forced: bool | None = None) -> list[Batch]:
        return asked.work(setting, forced).batches(lengths, most)

    for beam in asked.beams if lengths.target is not None else ():
        own = batches(Setting(beam, max(asked.batches)), forced=False)
        facts["own_lengths"] += _own_lengths(engines, own, beam, lengths)
    others = {name: said["against"] for name, said in facts["engines"].items() if said["against"]}
    work = {setting: batches(setting) for setting in asked.grid}
    clock = time.process_time if asked.cpu_time else time.perf_counter
    for speeds in measure(engines, work, asked.rounds, clock, others, facts["base"]):
        facts["speeds"] += [speed.as_dict() for speed in speeds]
        say(f"measured beam {speeds[0].setting.beam}, batch {speeds[0].setting.batch}")


def _own_lengths(
    engines: dict[str, Engine], batches: Sequence[Batch], beam: int, lengths: Lengths
) -> Iterator[Facts]:
    """How many tokens each engine's own translations have, of those of the references."""
    assert lengths.target is not None
    for name, engine in engines.items():
        tokens = sum(engine.translate(batch, beam) for batch in batches)
        yield {"engine": name, "beam": beam, "tokens": tokens,
               "ratio": tokens / sum(lengths.target)}  # fmt: skip
