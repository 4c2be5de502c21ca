"""What a report measures, as sections: a heading, what it means, and its tables.

The tables: limits, significance, odd outputs, parts of the test set, what changed most; one
without rows means that there is no data for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.files.table import Table, number
from fairseq_prune.report.bootstrap import SIGNATURE, Comparison
from fairseq_prune.report.by_sentence import bleu, buckets, chosen, example, length, rarity
from fairseq_prune.report.degenerate import FAULTS
from fairseq_prune.report.measures import Measures
from fairseq_prune.report.points import (
    Place,
    Point,
    models_of,
    over,
    places_of,
    scores_of,
    times_less,
)
from fairseq_prune.report.significance import holm, verdict
from fairseq_prune.report.sized import NEAR, SHARED
from fairseq_prune.report.tables import full_tables
from fairseq_prune.study.stages import STAGES

SEEDS = "Of several seeds: mean ± the sample's standard deviation."
AGAINST = (
    "Each model against the dense one of its seed; what was retrained against the dense model that "
    "was trained on for as long, where there is one for every seed, for else the training would "
    "count as a gain of pruning."
)
POOLED = (
    f"Paired bootstrap, sacreBLEU {SIGNATURE}. Seeds are tested together: each sample draws the "
    "same sentences for all of them, and p is of the mean over seeds of the difference to what "
    "each seed is tested against (seeds share the sentences, so that tests of each cannot be "
    "multiplied)"
)
HOLM = "p, Holm: corrected for all tests of the section Significance"
LIMITS = (
    f"The largest sparsity that is not significantly worse, nor is any smaller one that was "
    f"tested, by p as it is: the cautious side, for a correction would let more pass. Worse from: "
    f"the smallest that is, by the corrected p; between the two nothing is shown either way. "
    f"{AGAINST} Significantly worse: the mean BLEU over seeds is lower, and p < 0.05. {POOLED}; "
    "seeds worse: those that are so alone, by their own p. - where the smallest tested sparsity is "
    "worse, or where none is. The 95% intervals are over the sentences of the test set."
    f" {HOLM}. {SEEDS}"
)
TESTS = (
    f"{AGAINST} Result: better or worse by the corrected p; where p alone says it, that is said. "
    f"{POOLED}, beside it that of each seed. {HOLM} (Holm 1979). 95% over sentences: the interval "
    "of the mean difference by the same samples; over seeds: by Student's t, as if other seeds "
    "were drawn and the test set stayed. sacreBLEU gives the smallest p to two systems that say "
    "the same too: worse asks for a lower BLEU as well. significance.csv names the checkpoint that "
    f"each is tested against. {SEEDS}"
)
DEGENERATE = (
    "Percent of the sentences. Empty: no word. Repeats: a phrase of 2 to 10 words three times in a "
    "row or a word four times, where the reference has no such loop. Copied: more than half of its "
    "words are words of the source, and not more than half words of the reference. Long: more than "
    "twice the words of the reference. Flagged: more than 5 points above the dense model. Words "
    f"are what spaces separate. {SEEDS}"
)
PARTS = (
    "sacreBLEU BLEU of a quarter of the test set each: by words of the reference, and by the "
    "smallest count in training among the reference's subwords (fairseq's dictionary; 0: unknown). "
    "Dense, and of each stage the largest sparsity that is not significantly worse and the "
    "smallest that is, class-blind where it was tested. "
    f"{SEEDS}"
)
CHANGES = (
    "The ten sentences whose chrF changed most from dense, from the largest loss to the largest "
    "gain."
)
EVERY = (
    "BLEU of a model that collapsed says little: read it with the perplexity, the brevity penalty "
    "(1: not too short) and the length ratio (output words by reference words)."
)
SIZED = (
    "What was pruned and trained, beside dense models that have as few weights, or cost as few "
    "multiply-adds, and were trained for as long as a dense model and retraining together: of each "
    f"method the model that has most, and at most {NEAR:.0%} more than the small one. Positive "
    "differences: pruning is worth it. Intervals, p and Holm's as in the section Significance, the "
    "tests of this section among themselves. A pruned model has its weights left in any places, "
    f"and needs to store where; a small one does not. {SEEDS}"
)
COLUMNS = {
    "compression": "Compression: the parameters of the dense model over those that are not zero.",
    "theoretical speed-up": "Theoretical speed-up: the multiply-adds of the dense model over those "
    "that zeros leave; nothing runs faster by them in dense kernels.",
    "CPU-hours": "CPU-hours: of the command that made the checkpoint, in all runs that it took, "
    "without those of what it started from.",
}
WHAT = ["model", "stage", "scheme", "% removed", "seeds"]


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Args:
        heading, caption: plain text.
        tables: with a row at least.
        texts: whether the tables' columns 1 to 4 are sentences of the test set.
    """

    heading: str
    caption: str
    tables: Sequence[Table]
    texts: bool = False


def sections_of(measures: Measures) -> list[Section]:
    """The sections in their order; those without data are left out."""
    models = models_of(measures.points)
    made = [
        Section("How far each method goes", LIMITS, [limit_table(measures)]),
        Section("Significance", TESTS, [comparison_table(measures)]),
        Section("Beside small dense models", SIZED, [sized_table(measures)]),
        Section("Degenerate outputs", DEGENERATE, [fault_table(measures)]),
        Section("Long sentences and rare words", PARTS,
             [f(measures, m) for m in models for f in (length_table, rarity_table)]),
    ]  # fmt: skip
    for model in models:
        table = example_table(measures, model)
        heading = f"What changed most: {model}, {table[0][4]}" if len(table) > 1 else ""
        made.append(Section(heading, CHANGES, [table], texts=True))
    made = [replace(section, tables=[t for t in section.tables if len(t) > 1]) for section in made]
    return [section for section in made if section.tables]


def every_number(measures: Measures) -> list[Section]:
    """A section with all numbers of every place, for each way of evaluating."""
    seeds = any(len(members) > 1 for members in places_of(measures.points).values())
    text = any(p.has_text for p in measures.points)
    general = [*([EVERY] if text else []), *([SEEDS] if seeds else [])]
    made = []
    for name, table in full_tables(measures.points, measures.flagged):
        about = [sentence for header, sentence in COLUMNS.items() if header in table[0]]
        heading = f"Every number{': ' if name else ''}{name}"
        made.append(Section(heading, " ".join([*general, *about]), [table]))
    return made


def limit_table(measures: Measures) -> Table:
    """The largest sparsity that is not significantly worse, a row for model, stage and method."""
    places = places_of(measures.points)

    def there(place: Place | None, corrected: bool) -> list[str]:
        if place is None:
            return ["-"] * 5
        lost, sentences, _, worse, p, holm = _difference(measures, places[place])
        return [places[place][0].percent, lost, sentences, worse, holm if corrected else p]

    what = ["difference", "95%", "seeds worse"]
    head = ["model", "stage", "scheme", "seeds", "against", "% removed, not worse", *what, "p",
            "worse from %", *what, "p, Holm"]  # fmt: skip
    rows = []
    for limit in measures.limits:
        members = places[limit.harmless or limit.first_worse or limit.tested]
        rows.append(
            [
                limit.model, STAGES[limit.stage].label, limit.scheme,
                str(len(_tested(measures, members))), against(measures, members),
                *there(limit.harmless, False), *there(limit.first_worse, True),
            ]
        )  # fmt: skip
    return [head, *rows]


def _tested(measures: Measures, members: Sequence[Point]) -> list[Comparison]:
    each = measures.tests.each
    return [each[p.key] for p in members if p.key in each]


def against(measures: Measures, members: Sequence[Point]) -> str:
    """What the members of a place are tested against."""
    bases, each = measures.tests.bases, measures.tests.each
    return " or ".join(dict.fromkeys(bases[p.key].kind.label for p in members if p.key in each))


def _verdict(measures: Measures, members: Sequence[Point]) -> str:
    place, base = members[0].place, against(measures, members)
    pooled = measures.tests.pooled.get(place)
    if pooled is None:
        return f"not tested together against {base}"
    return verdict(pooled, measures.tests.corrected[place], base)


def _difference(measures: Measures, members: Sequence[Point]) -> list[str]:
    """Of a place: the mean difference, its intervals over sentences and over seeds, the seeds that
    are worse alone, and p of all seeds together, as it is and corrected."""
    found, place = _tested(measures, members), members[0].place
    lost = over(c.difference for c in found)
    worse = f"{sum(c.worse for c in found)} of {len(found)}"
    pooled = measures.tests.pooled.get(place)
    if pooled is None:
        return [lost.text(2, signed=True), "-", "-", worse, "-", "-"]
    return [
        lost.text(2, signed=True), interval(pooled.low, pooled.high),
        interval(*lost.interval) if lost.interval else "-",
        worse, f"{pooled.p:.4f}", f"{measures.tests.corrected[place]:.4f}",
    ]  # fmt: skip


def interval(low: float, high: float) -> str:
    """The ends of an interval of differences, to two digits."""
    return f"[{low:+.2f}, {high:+.2f}]"


def comparison_table(measures: Measures) -> Table:
    """Every tested place: BLEU, what the test shows, and all of :func:`_difference`."""
    table = [[*WHAT, "BLEU", "result", "difference", "95% over sentences", "95% over seeds",
              "seeds worse", "p", "p, Holm", "p of each seed"]]  # fmt: skip
    for place, members in places_of(measures.points).items():
        model, stage, scheme, _ = place
        found = _tested(measures, members)
        if found:
            table.append(
                [
                    model, STAGES[stage].label, scheme or "-", members[0].percent,
                    str(len(found)), over(c.bleu for c in found).text(2),
                    _verdict(measures, members),
                    *_difference(measures, members), " ".join(f"{c.p:.4f}" for c in found),
                ]
            )  # fmt: skip
    return table


def comparison_rows(measures: Measures) -> Table:
    """Every comparison, in full digits, for programs; of several seeds together, too."""
    table = [[*WHAT[:-1], "asked", "seed", "BLEU", "base BLEU", "p", "p Holm", "95% low",
              "95% high", "significantly worse", "base"]]  # fmt: skip
    tests, places = measures.tests, places_of(measures.points)
    several = {place for place, members in places.items() if len(_tested(measures, members)) > 1}
    for p in measures.points:
        if (found := tests.each.get(p.key)) is not None:
            holm = "" if p.place in several else repr(tests.corrected[p.place])
            table.append(
                [
                    p.model, p.stage, p.scheme or "-", f"{p.reached:g}", p.asked, p.seed,
                    *_digits(found, holm), _file_of(tests.bases[p.key]),
                ]
            )  # fmt: skip
    for place, found in tests.pooled.items():
        if place in several:
            count = len(_tested(measures, places[place]))
            name = [place[0], place[1], place[2] or "-", f"{place[3]:g}", places[place][0].asked]
            holm = repr(tests.corrected[place])
            table.append([*name, f"all {count}", *_digits(found, holm), "each seed's"])
    return table


def _digits(found: Comparison, holm: str) -> list[str]:
    numbers = [repr(found.bleu), repr(found.base), repr(found.p), holm]
    return [*numbers, repr(found.low), repr(found.high), str(found.worse).lower()]


def _file_of(point: Point) -> str:
    return str(point.row.get("checkpoint") or "")


def sized_table(measures: Measures) -> Table:
    """Each dense model of another size, with what stands beside it."""
    table = [["model", "dense of another size", "BLEU of it", "as few", "stage", "scheme",
              "% removed", "seeds", "compression", "theoretical speed-up", "BLEU", "result",
              "difference", "95%", "p", "p, Holm"]]  # fmt: skip
    tests = {(i, place): found for i, match in enumerate(measures.sized)
             for place, found in match.tests.pooled.items()}  # fmt: skip
    corrected = dict(zip(tests, holm([found.p for found in tests.values()]), strict=True))
    for number_, match in enumerate(measures.sized):
        small = match.small[0]
        name, score = small.scheme or small.kind.label, scores_of(match.small).text(2)
        for place, members in match.found.items():
            less = [number(times_less(measures.points, members, of), 2) for of in SHARED.values()]
            tested = tests.get((number_, place))
            shown = ["-"] * 5 if tested is None else [
                verdict(tested, corrected[number_, place], name),
                f"{tested.difference:+.2f}", interval(tested.low, tested.high),
                f"{tested.p:.4f}", f"{corrected[number_, place]:.4f}",
            ]  # fmt: skip
            table.append(
                [
                    place[0], name, score, match.shared, STAGES[place[1]].label, place[2] or "-",
                    members[0].percent, str(len(members)), *less, scores_of(members).text(2),
                    *shown,
                ]
            )  # fmt: skip
    return table


def fault_table(measures: Measures) -> Table:
    """The percentage of sentences with each fault, mean over seeds, and what is flagged."""
    table = [[*WHAT, *(f"{name} %" for name in FAULTS), "flagged"]]
    for place, members in places_of(measures.points).items():
        found = [measures.faults[p.key] for p in members if p.key in measures.faults]
        if found:
            model, stage, scheme, _ = place
            cells = [over(100 * getattr(one, name) for one in found).text(1) for name in FAULTS]
            what = [model, STAGES[stage].label, scheme or "-", members[0].percent, str(len(found))]
            table.append([*what, *cells, measures.flagged.get(place, "")])
    return table


def length_table(measures: Measures, model: str) -> Table:
    """BLEU by words of the reference, for the points of ``chosen``."""
    return _parts(measures, model, "reference words", length)


def rarity_table(measures: Measures, model: str) -> Table:
    """BLEU by the smallest training count of the reference's subwords."""
    return _parts(measures, model, "rarest subword, count in training", rarity)


def _parts(
    measures: Measures, model: str, header: str, feature: Callable[[Sentence], int | None]
) -> Table:
    columns = chosen(measures, model)
    if len(columns) < 2:
        return [[]]
    outputs = [[measures.outputs[p.key] for p in column.points] for column in columns]
    parts = buckets(outputs[0][0].reference, feature)
    table = [[f"{model}: {header}", "sentences", *(column.heading for column in columns)]]
    for part in parts:
        name = f"{part.first} to {part.last}" if part.last > part.first else f"{part.first}"
        scores = [over(bleu(one, part) for one in seeds).text(2) for seeds in outputs]
        table.append([name, str(len(part.members)), *scores])
    return table


def example_table(measures: Measures, model: str) -> Table:
    """The ten sentences that changed most, side by side."""
    found = example(measures, model)
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
