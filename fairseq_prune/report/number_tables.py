"""Tables of what a report measures: significance, limits, odd outputs, parts of the test set.

A table without rows means that there is no data for it.
"""

import statistics
from collections.abc import Callable, Sequence

from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.files.table import Table, number
from fairseq_prune.report.bootstrap import Comparison
from fairseq_prune.report.buckets import bleu, buckets, length, rarity
from fairseq_prune.report.degenerate import KINDS, flags, mean_shares
from fairseq_prune.report.numbers import Numbers, chosen, example
from fairseq_prune.report.points import Place, Point, places_of
from fairseq_prune.report.significance import dense_points
from fairseq_prune.study.stages import STAGES

WHAT = ["model", "stage", "scheme", "% removed", "seeds"]


def limit_table(numbers: Numbers) -> Table:
    """The largest sparsity that is not significantly worse, a row for model, stage and method."""
    places = places_of(numbers.points)

    def there(place: Place | None) -> list[str]:
        if place is None:
            return ["-", "-", "-", "-"]
        return [places[place][0].percent, *_difference(numbers, place, places[place])]

    what = ["BLEU - dense", "seeds worse", "p"]
    head = ["model", "stage", "scheme", "% removed, not worse", *what, "worse from %", *what]
    rows = [
        [limit.model, STAGES[limit.stage].label, limit.scheme, *there(limit.harmless),
         *there(limit.first_worse)]
        for limit in numbers.limits
    ]  # fmt: skip
    return [head, *rows]


def _tested(numbers: Numbers, members: Sequence[Point]) -> list[Comparison]:
    return [numbers.comparisons[p.key] for p in members if p.key in numbers.comparisons]


def _difference(numbers: Numbers, place: Place, members: Sequence[Point]) -> list[str]:
    """Mean difference from dense, seeds that are worse alone, and p of all seeds together."""
    found = _tested(numbers, members)
    mean = statistics.fmean(c.bleu - c.dense for c in found)
    pooled = numbers.pooled.get(place)
    together = "-" if pooled is None else f"{pooled.p:.4f}"
    return [f"{mean:+.2f}", f"{sum(c.worse for c in found)} of {len(found)}", together]


def comparison_table(numbers: Numbers) -> Table:
    """Every tested place: mean BLEU, mean difference, seeds that are worse, p together and each."""
    table = [[*WHAT[:-1], "BLEU", "BLEU - dense", "seeds worse", "p", "p of each seed"]]
    for place, members in places_of(numbers.points).items():
        model, stage, scheme, _ = place
        found = _tested(numbers, members)
        if found:
            table.append(
                [
                    model, STAGES[stage].label, scheme or "-", members[0].percent,
                    number(statistics.fmean(c.bleu for c in found), 2),
                    *_difference(numbers, place, members), " ".join(f"{c.p:.4f}" for c in found),
                ]
            )  # fmt: skip
    return table


def comparison_rows(numbers: Numbers) -> Table:
    """Every comparison, in full digits, for programs; of several seeds together, too."""
    table = [[*WHAT[:-1], "asked", "seed", "BLEU", "dense BLEU", "p", "significantly worse",
              "dense"]]  # fmt: skip
    bases, places = dense_points(numbers.points), places_of(numbers.points)
    for p in numbers.points:
        if (found := numbers.comparisons.get(p.key)) is not None:
            table.append(
                [
                    p.model, p.stage, p.scheme or "-", f"{p.reached:g}", p.asked, p.seed,
                    *_digits(found), _file_of(bases[p.key]),
                ]
            )  # fmt: skip
    for place, found in numbers.pooled.items():
        count, first = len(_tested(numbers, places[place])), places[place][0]
        if count > 1:
            name = [place[0], place[1], place[2] or "-", f"{place[3]:g}", first.asked]
            table.append([*name, f"all {count}", *_digits(found), "each seed's"])
    return table


def _digits(found: Comparison) -> list[str]:
    return [repr(found.bleu), repr(found.dense), repr(found.p), str(found.worse).lower()]


def _file_of(point: Point) -> str:
    return str(point.row.get("checkpoint") or "")


def share_table(numbers: Numbers) -> Table:
    """Shares of degenerate outputs in percent, mean over seeds, and what is flagged."""
    odd = flags(numbers.points, numbers.shares)
    table = [[*WHAT, *(f"{kind} %" for kind in KINDS), "flagged"]]
    for place, members in places_of(numbers.points).items():
        found = mean_shares(members, numbers.shares)
        if found is not None:
            model, stage, scheme, _ = place
            cells = [f"{100 * getattr(found, kind):.1f}" for kind in KINDS]
            count = sum(p.key in numbers.shares for p in members)
            name = [model, STAGES[stage].label, scheme or "-", members[0].percent, str(count)]
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
    outputs = [[numbers.outputs[p.key] for p in column.points] for column in columns]
    parts = buckets(outputs[0][0].reference, feature)
    table = [[f"{model}: {header}", "sentences", *(column.heading for column in columns)]]
    for part in parts:
        name = f"{part.first} to {part.last}" if part.last > part.first else f"{part.first}"
        scores = [
            number(statistics.fmean(bleu(one, part) for one in seeds), 2) for seeds in outputs
        ]
        table.append([name, str(len(part.members)), *scores])
    return table


def example_table(numbers: Numbers, model: str) -> Table:
    """The ten sentences that changed most, side by side."""
    found = example(numbers, model)
    if found is None or not found.changes:
        return [[]]
    head = ["line", "source", "reference", "dense", found.label, "chrF dense", "chrF", "change"]
    rows = [
        [
            str(c.number), c.sentence.source, c.sentence.reference, c.dense, c.pruned,
            f"{c.dense_chrf:.1f}", f"{c.pruned_chrf:.1f}", f"{c.difference:+.1f}",
        ]
        for c in found.changes
    ]  # fmt: skip
    return [head, *rows]
