"""Names under which rows stand in tables and figures: what differs is in them, and nothing else.

Rows share a place where they differ in their seed alone.
"""

import json
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairseq_prune.files.text import listed
from fairseq_prune.report.identity import Reading
from fairseq_prune.study.stages import STAGES, Stage

APART = 0.5  # percent of the weights: seeds that differ by more have no common place


@dataclass
class Named:
    """A row and its names, while they are found.

    Args:
        said: the row, read.
        model, stage: as shown.
        words: what follows the method's name.
        removed: as shown: the mean over seeds.
    """

    said: Reading
    model: str
    stage: str
    words: list[str] = field(default_factory=list)
    removed: float = 0.0

    @property
    def kind(self) -> Stage:
        """What the stage is."""
        return STAGES[self.stage]

    @property
    def scheme(self) -> str | None:
        """The method as shown; None for a dense model that nothing tells from another."""
        own = [self.said.method] if not self.kind.is_dense and self.said.method else []
        text = ", ".join([*own, *self.words])
        return text or (None if self.kind.level else "no recipe")

    @property
    def place(self) -> tuple[str, str, str | None, float]:
        """What rows have in common that differ in their seeds alone."""
        return self.model, self.stage, self.scheme, self.removed


Tell = Callable[[str], None]


def name_all(read: Sequence[Reading], tell: Tell) -> list[Named]:
    """The rows with their names, no two of them alike.

    Args:
        tell: is told what a reader has to know.
    """
    rows = [Named(said, said.model, said.stage) for said in read]
    for row in rows:
        if row.said.is_tagged_dense and not row.kind.is_dense:
            tell(
                f"{row.said.file} is tagged stage=dense, but its file says {row.kind.label!r}: "
                "it is shown as that, and nothing is tested against it."
            )
    _name_decodings(rows, tell)
    for mine in _groups(rows, lambda r: r.model).values():
        _name_dense(mine, tell)
    for mine in _groups(rows, lambda r: (r.model, r.said.method)).values():
        _name_what_differs(mine, lambda r: r.said.extras, ":")
    for row in rows:
        row.words += row.said.marks
    for mine in _groups(rows, lambda r: (r.model, r.stage, r.said.method)).values():
        _name_what_differs(mine, lambda r: r.said.more_tags, "=")
    _place(rows)
    _tell_apart(rows, tell)
    return rows


def _groups(rows: Iterable[Named], key: Callable[[Named], Hashable]) -> dict[Hashable, list[Named]]:
    found: dict[Hashable, list[Named]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def _name_what_differs(
    rows: Sequence[Named], values: Callable[[Named], Mapping[str, str]], sign: str
) -> None:
    """Add to each row's words those of its values that not all rows have in common."""
    every = list(dict.fromkeys(name for row in rows for name in values(row)))
    for name in every:
        if len({values(row).get(name) for row in rows}) > 1:
            for row in rows:
                if name in values(row):
                    row.words.append(f"{name}{sign}{values(row)[name]}")


def _name_decodings(rows: Sequence[Named], tell: Tell) -> None:
    """Data and decoding in the names of models that were evaluated in several ways."""
    for model, mine in _groups(rows, lambda r: r.model).items():
        ways = {row.said.decoding: row.said.row for row in mine}
        if len(ways) < 2:
            continue
        names = decoding_names(ways)
        for row in mine:
            row.model = f"{model}, {names[row.said.decoding]}"
        tell(
            f"{model} was evaluated in {len(ways)} ways, which have tables and figures of their "
            f"own: {'; '.join(names.values())}."
        )


def decoding_names(ways: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """A name for each way of evaluating: the settings that differ, and the data where they do.

    Args:
        ways: a row of each, by :attr:`~fairseq_prune.report.identity.Reading.decoding`.
    """
    settings = {key: row.get("settings") or {} for key, row in ways.items()}
    every = list(dict.fromkeys(name for mine in settings.values() for name in mine))
    odd = [n for n in every if len({json.dumps(s.get(n)) for s in settings.values()}) > 1]
    names = {key: ", ".join(_setting(n, s.get(n)) for n in odd) for key, s in settings.items()}
    found = {}
    for key, name in names.items():
        data = f"data {str(ways[key].get('data_digest'))[:8]}"
        alone = sum(other == name for other in names.values()) == 1
        found[key] = name if name and alone else ", ".join(filter(None, [name, data]))
    return found


def _setting(name: str, value: Any) -> str:
    if name in ("gen_subset", "subset"):
        return str(value)
    return f"{name.replace('_', '-')} {'none' if value is None else value}"


def _name_dense(rows: Sequence[Named], tell: Tell) -> None:
    """Which of a model's files without a record are the dense ones that others are tested against.

    Of several for one seed that share all tags: those tagged ``stage=dense``, or those that others
    were made of; the rest stand as files without a record.
    """
    roots = {str(s) for row in rows for s in row.said.row.get("sources") or []}
    files = [row for row in rows if row.kind.is_dense]
    alike = _groups(files, lambda r: (r.said.seed, json.dumps(r.said.more_tags, sort_keys=True)))
    for mine in alike.values():
        if len(mine) < 2:
            continue
        tagged = [row for row in mine if row.said.is_tagged_dense]
        sources = [row for row in mine if row.said.row.get("sha256") in roots]
        chosen = tagged or sources
        for row in mine if len(chosen) != 1 else [row for row in mine if row is not chosen[0]]:
            row.words.append(row.said.file)
        if chosen:
            for row in mine:
                row.stage = row.stage if row in chosen else "unrecorded"
        names = listed([row.said.file for row in mine], 3)
        is_one = f"{chosen[0].said.file} is taken for the dense one" if len(chosen) == 1 else (
            "none of them is the dense one for all points; give --tag stage=dense to one"
        )  # fmt: skip
        tell(f"{mine[0].model} has {len(mine)} files without a record of pruning that share all "
             f"tags ({names}): {is_one}.")  # fmt: skip


def _place(rows: Sequence[Named]) -> None:
    """Give rows of several seeds the mean of what they removed, where it is about the same."""
    same = _groups(rows, lambda r: (r.model, r.stage, r.scheme, _asked(r)))
    for mine in same.values():
        mine.sort(key=lambda r: r.said.removed)
        cluster: list[Named] = []
        for row in mine:
            seeds = {other.said.seed for other in cluster}
            near = cluster and row.said.removed - cluster[0].said.removed <= APART
            if not near or row.said.seed in seeds:
                cluster = []
            cluster.append(row)
            mean = round(statistics.fmean(other.said.removed for other in cluster), 2)
            for other in cluster:
                other.removed = mean
    for mine in _groups(rows, lambda r: r.place).values():
        if len({_asked(row) for row in mine}) > 1:
            for row in mine:
                asked = row.said.asked
                row.words.append("nothing asked" if asked is None else f"asked {asked:g}%")


def _asked(row: Named) -> float | None:
    """What all seeds of a place were asked for; what a file of sparsities asks is each seed's."""
    return None if row.said.row.get("scheme") == "given" else row.said.asked


def _tell_apart(rows: Sequence[Named], tell: Tell) -> None:
    """Rows that would be taken for one another are named by their files."""
    alike = [m for m in _groups(rows, lambda r: (*r.place, r.said.seed)).values() if len(m) > 1]
    for mine in alike:
        files = [row.said.file for row in mine]
        for number, row in enumerate(mine, 1):
            own = row.said.file
            row.words.append(own if files.count(own) == 1 else f"{own} ({number})")
        where = f"{mine[0].kind.label}, {mine[0].removed:g}% removed"
        tell(f"{len(mine)} rows of {mine[0].model} ({where}) differ in nothing that a table shows; "
             f"they stand apart by their files: {listed(files, 3)}.")  # fmt: skip
