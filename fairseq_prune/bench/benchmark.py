"""One benchmark: what every model takes in bytes and memory, and how fast its engines translate."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fairseq_prune.bench.engines import (
    BY_CTRANSLATE2,
    BY_FAIRSEQ,
    CTranslate2,
    Engine,
    Fairseq,
    build,
    sentences_of,
)
from fairseq_prune.bench.memory import peak_of_ctranslate2, peak_of_fairseq
from fairseq_prune.bench.sizes import sizes
from fairseq_prune.bench.speed import Setting, batches_of, measure
from fairseq_prune.checkpoints.counts import count, together
from fairseq_prune.evaluation.decode_folder import FolderDecoder
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports import CTRANSLATE2, QUANTIZATIONS
from fairseq_prune.exports.folder import Folder
from fairseq_prune.exports.forms import COMPACT, as_checkpoint, form_of, read_folder, size_of
from fairseq_prune.tasks.opening import open_checkpoint
from fairseq_prune.tasks.own import members_of

Facts = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be measured.

    Args:
        models: paths by label; checkpoints, compact files and folders of CTranslate2.
        against: the label of the one that the others are compared with in the same engine.
        kinds: of engines, for checkpoints and compact files.
        sentences: how many of the test set.
        threads: of each engine.
    """

    models: dict[str, str]
    against: str
    settings: Settings
    kinds: Sequence[str]
    beams: Sequence[int]
    batches: Sequence[int]
    sentences: int
    rounds: int
    threads: int

    @property
    def grid(self) -> list[Setting]:
        """The settings of the search, one after the other."""
        return [Setting(beam, batch) for beam in self.beams for batch in self.batches]

    @property
    def largest(self) -> Setting:
        """The setting in which memory is measured."""
        return Setting(max(self.beams), max(self.batches))

    @property
    def folder_kinds(self) -> list[str]:
        """The kinds of engine that the folders of CTranslate2 among the models are."""
        paths = (path for path in self.models.values() if form_of(path) == CTRANSLATE2)
        return list(dict.fromkeys(kind_of(read_folder(path)) for path in paths))

    def kinds_of(self, label: str) -> list[str]:
        """The kinds of engine for a model: the first one is in fairseq, too, as the others are
        compared with that, and the one that is compared with in what the folders are."""
        if form_of(self.models[label]) == CTRANSLATE2:
            return [kind_of(read_folder(self.models[label]))]
        first = [BY_FAIRSEQ[0]] if label == next(iter(self.models)) else []
        possible = [k for k in self.folder_kinds if k in _CONVERTED]
        return list(dict.fromkeys([*first, *self.kinds, *(possible * (label == self.against))]))


_CONVERTED = {BY_CTRANSLATE2, *(f"{BY_CTRANSLATE2}-{name}" for name in QUANTIZATIONS)}


def kind_of(folder: Folder) -> str:
    """The kind of engine that a folder of CTranslate2 is, by how its weights are stored."""
    stored = folder.quantization or "unknown"
    return BY_CTRANSLATE2 if stored == "float32" else f"{BY_CTRANSLATE2}-{stored}"


def run(asked: Asked, say: Callable[[str], None]) -> Facts:
    """The whole benchmark, as ``bench.json`` has it.

    Args:
        say: is told how far it is.

    Raises ValueError where a model does not translate.
    """
    torch.set_num_threads(1)  # until no more processes are copied: threads would be missing there
    facts: Facts = {"against": asked.against, "models": {}, "engines": {}, "left_out": [],
                    "speeds": []}  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        opened = {n: stack.enter_context(as_checkpoint(p)) for n, p in asked.models.items()}
        peaks = dict(_peaks_of_fairseq(asked, opened))
        torch.set_num_threads(asked.threads)
        folders = {label: Path(temporary) / str(n) for n, label in enumerate(opened)}
        for label, folder in folders.items():
            folder.mkdir()
            facts["models"][label] = _of_the_model(asked.models[label], opened[label], folder)
        built = _Built(asked, facts)
        for label, folder in folders.items():
            built.add(label, opened[label], folder, peaks)
        say("measured bytes and memory")
        _compare(facts)
        found = {name: said["against"] for name, said in facts["engines"].items()}
        others = {name: other for name, other in found.items() if other}
        for speeds in measure(built.engines, built.lengths, asked.grid, asked.rounds,
                              against=others):  # fmt: skip
            facts["speeds"] += [speed.as_dict() for speed in speeds]
            say(f"measured beam {speeds[0].setting.beam}, batch {speeds[0].setting.batch}")
    return facts


def _peaks_of_fairseq(
    asked: Asked, opened: dict[str, str]
) -> Iterator[tuple[tuple[str, str], int | None]]:
    for label, checkpoint in opened.items():
        for kind in asked.kinds_of(label):
            if kind in BY_FAIRSEQ:
                yield (label, kind), peak_of_fairseq(
                    checkpoint, asked.settings, kind != BY_FAIRSEQ[0], asked.largest,
                    asked.sentences, asked.threads,
                )  # fmt: skip


def _of_the_model(path: str, opened: str, folder: Path) -> Facts:
    """Weights, work and bytes in every form."""
    if form_of(path) == CTRANSLATE2:
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


def _compare(facts: Facts) -> None:
    """Say of each engine which one of the model that is compared with is of the same kind, and what
    bytes, in the same form, and memory are in its."""
    label, engines = facts["against"], facts["engines"]
    names = {said["kind"]: name for name, said in engines.items() if said["model"] == label}
    for said in engines.values():
        other = said["against"] = names.get(said["kind"])
        base = facts["models"][label]["bytes"].get(said["form"]) if other else None
        said["bytes_ratio"] = said["bytes"] / base if base else None
        peaks = said["memory_bytes"], engines[other]["memory_bytes"] if other else None
        said["memory_ratio"] = None if None in peaks else peaks[0] / peaks[1]


class _Built:
    """The engines of all models, by name, and the sentences that they translate."""

    def __init__(self, asked: Asked, facts: Facts) -> None:
        self._asked, self._facts = asked, facts
        self.engines: dict[str, Engine] = {}
        self.lengths: list[int] = []

    def add(
        self, label: str, opened: str, folder: Path, peaks: dict[tuple[str, str], int | None]
    ) -> None:
        """Build those of a model.

        Args:
            opened: the checkpoint that fairseq opens, or a folder of CTranslate2.
            folder: for what has to be written.
            peaks: of memory, in fairseq.
        """
        asked = self._asked
        if form_of(asked.models[label]) == CTRANSLATE2:
            self._add_folder(label, opened)
            return
        stock = Fairseq(opened, asked.settings)
        self._set_lengths(stock.data)
        for kind in asked.kinds_of(label):
            try:
                with contextlib.redirect_stdout(None):
                    engine = build(kind, opened, asked.settings, stock, folder, asked.threads)
            except ValueError as error:
                why = str(error).replace(opened, asked.models[label])
                self._facts["left_out"].append(f"{label} in {kind}: {why}")
                continue
            no_beam = " (no beam: it refines whole sentences)" if stock.own.refines else ""
            if kind in BY_FAIRSEQ:
                form = "compact" if form_of(asked.models[label]) == COMPACT else "stripped"
                self._add(label, kind, engine, form, peaks[label, kind], no_beam)
            else:
                written = folder / kind
                size = sum(path.stat().st_size for path in written.iterdir())
                self._facts["models"][label]["bytes"][kind] = size
                peak = self._peak_of_folder(str(written), stock.sentences)
                self._add(label, kind, engine, kind, peak, no_beam)

    def _add_folder(self, label: str, path: str) -> None:
        asked, kind = self._asked, self._asked.kinds_of(label)[0]
        with contextlib.closing(FolderDecoder(asked.settings)) as decoder:
            decoder.open(path)
            data = decoder.prepare(asked.settings.gen_subset)
            sentences = sentences_of(decoder.task, data)
        self._set_lengths(data)
        engine = CTranslate2(path, sentences, asked.settings.max_len_b, asked.threads)
        sizes_of = self._facts["models"][label]["bytes"]
        sizes_of[kind] = sizes_of["as it is"]
        self._add(label, kind, engine, kind, self._peak_of_folder(path, sentences))

    def _set_lengths(self, data: Any) -> None:
        size = min(self._asked.sentences, len(data))
        self.lengths = [int(data.num_tokens(number)) for number in range(size)]

    def _peak_of_folder(self, path: str, sentences: Sequence[list[str]]) -> int | None:
        asked, setting = self._asked, self._asked.largest
        return peak_of_ctranslate2(
            path, sentences, batches_of(self.lengths, setting.batch), setting.beam,
            asked.settings.max_len_b, asked.threads,
        )  # fmt: skip

    def _add(
        self, label: str, kind: str, engine: Engine, form: str, peak: int | None, note: str = ""
    ) -> None:
        self.engines[f"{label}: {kind}{note}"] = engine
        self._facts["engines"][f"{label}: {kind}{note}"] = {
            "model": label, "kind": kind, "form": form, "memory_bytes": peak,
            "bytes": self._facts["models"][label]["bytes"][form],
        }  # fmt: skip
