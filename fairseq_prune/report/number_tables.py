"""Tables of what a report measures: significance, limits, odd outputs, parts of the test set.

A table without rows means that there is no data for it.
"""

import statistics
from collections.abc import Callable, Sequence

from fairseq_prune.analysis.sentences import Sentence
from fairseq_prune.analysis.table import Table, number
from fairseq_prune.report.bootstrap import Comparison
from fairseq_prune.report.buckets import bleu, buckets, length, rarity
from fairseq_prune.report.degenerate import KINDS, flags, mean_shares
from fairseq_prune.report.numbers import Numbers, chosen, example
from fairseq_prune.report.points import STAGES, Place, places_of

WHAT = ["model", "stage", "scheme", "% removed"]


def limit_table(numbers: Numbers) -> Table:
    """The largest sparsity that is not significantly worse, a row for model, stage and method."""
    places = places_of(numbers.points)

    def there(place: Place | None) -> list[str]:
        if place is None:
            return ["-", "-", "-"]
        found = [c for p in places[place] if (c := numbers.comparisons.get(p.key)) is not None]
        return [f"{place[3]:g}", *_difference(found)]

    what = ["BLEU - dense", "seeds worse"]
    head = ["model", "stage", "scheme", "% removed, not worse", *what, "worse from %", *what]
    rows = [
        [limit.model, STAGES[limit.stage], limit.scheme, *there(limit.harmless),
         *there(limit.first_worse)]
        for limit in numbers.limits
    ]  # fmt: skip
    return [head, *rows]


def _difference(found: Sequence[Comparison]) -> list[str]:
    mean = statistics.fmean(c.bleu - c.dense for c in found)
    return [f"{mean:+.2f}", f"{sum(c.worse for c in found)} of {len(found)}"]


def comparison_table(numbers: Numbers) -> Table:
    """Every tested place: mean BLEU, mean difference, seeds that are worse, p of each seed."""
    table = [[*WHAT, "BLEU", "BLEU - dense", "seeds worse", "p"]]
    for (model, stage, scheme, removed), members in places_of(numbers.points).items():
        found = [numbers.comparisons[p.key] for p in members if p.key in numbers.comparisons]
        if found:
            table.append(
                [
                    model, STAGES[stage], scheme or "-", f"{removed:g}",
                    number(statistics.fmean(c.bleu for c in found), 2),
                    *_difference(found), " ".join(f"{c.p:.4f}" for c in found),
                ]
            )  # fmt: skip
    return table


def comparison_rows(numbers: Numbers) -> Table:
    """Every comparison, in full digits, for programs."""
    table = [[*WHAT, "seed", "BLEU", "dense BLEU", "p", "significantly worse"]]
    for p in numbers.points:
        if (found := numbers.comparisons.get(p.key)) is not None:
            table.append(
                [
                    p.model, p.stage, p.scheme or "-", f"{p.removed:g}", p.seed,
                    repr(found.bleu), repr(found.dense), repr(found.p), str(found.worse).lower(),
                ]
            )  # fmt: skip
    return table


def share_table(numbers: Numbers) -> Table:
    """Shares of degenerate outputs in percent, mean over seeds, and what is flagged."""
    odd = flags(numbers.points, numbers.shares)
    table = [[*WHAT, *(f"{kind} %" for kind in KINDS), "flagged"]]
    for place, members in places_of(numbers.points).items():
        found = mean_shares(members, numbers.shares)
        if found is not None:
            model, stage, scheme, removed = place
            cells = [f"{100 * getattr(found, kind):.1f}" for kind in KINDS]
            name = [model, STAGES[stage], scheme or "-", f"{removed:g}"]
            table.append([*name, *cells, odd.get(place, "")])
    return table


def length_table(numbers: Numbers, model: str) -> Table:
    """BLEU by words of the reference, for the points of ``chosen``."""
    return _parts(numbers, model, "reference words", length)


def rarity_table(numbers: Numbers, model: str) -> Table:
    """BLEU by the smallest training count of the reference's subwords."""
    return _parts(numbers, model, "rarest subword, count in training", rarity)


def _parts(
    numbers: Numbers, model: str, header: str, feature: Callable[[Sentence], int | None]
) -> Table:
    columns = chosen(numbers, model)
    if len(columns) < 2:
        return [[]]
    outputs = [numbers.outputs[column.point.key] for column in columns]
    parts = buckets(outputs[0].reference, feature)
    table = [[f"{model}: {header}", "sentences", *(column.label for column in columns)]]
    for part in parts:
        name = f"{part.first} to {part.last}" if part.last > part.first else f"{part.first}"
        scores = [number(bleu(output, part), 2) for output in outputs]
        table.append([name, str(len(part.members)), *scores])
    return table


def example_table(numbers: Numbers, model: str) -> Table:
    """The ten sentences that changed most, side by side."""
    found = example(numbers, model)
    if found is None or not found[1]:
        return [[]]
    column, changes = found
    head = ["line", "source", "reference", "dense", column.label, "chrF dense", "chrF", "change"]
    rows = [
        [
            str(c.number), c.sentence.source, c.sentence.reference, c.dense, c.pruned,
            f"{c.dense_chrf:.1f}", f"{c.pruned_chrf:.1f}", f"{c.difference:+.1f}",
        ]
        for c in changes
    ]  # fmt: skip
    return [head, *rows]
