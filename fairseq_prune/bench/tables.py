"""The tables of a benchmark, narrow enough for a terminal: ratios stand beside what they are of."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fairseq_prune.bench.quality import in_words
from fairseq_prune.bench.sizes import FORMS
from fairseq_prune.bench.speed import FASTER, NO_GAIN, UNSURE, verdict
from fairseq_prune.files.table import Table

Facts = Mapping[str, Any]
WORDS = {FASTER: "faster", UNSURE: "unsure", NO_GAIN: "no gain"}  # cells are narrow


def tables_of(facts: Facts) -> list[Table]:
    """Bytes by form, weights and work, what each engine takes, BLEU and chrF, and speeds, a table
    for each beam and batch."""
    tables = [_sizes(facts), _work(facts["models"]), _taken(facts)]
    beams = dict.fromkeys(row["beam"] for row in (*facts["quality"], *facts["own_lengths"]))
    return [*tables, *(_quality(facts, beam) for beam in beams), *_speeds(facts)]


def compares(facts: Facts) -> bool:
    """Whether there is another model than the one that is compared with."""
    return len(facts["models"]) > 1


def _sizes(facts: Facts) -> Table:
    """In MB, and of the model that is compared with, stripped."""
    bytes_of = facts["models"][facts["against"]]["bytes"]
    base = bytes_of.get("stripped", bytes_of["as it is"])
    rows = [["MB on disk", *(form.replace("stripped, ", "+ ") for form in FORMS)]]
    rows[0] = [form.replace("compact, ", "+ ") for form in rows[0]]
    for label, model in facts["models"].items():
        found = [model["bytes"].get(form) for form in FORMS]
        rows.append([label, *("-" if n is None else f"{_mb(n)} ({n / base:.0%})" for n in found)])
    return rows


def _mb(size: int) -> str:
    """A number of bytes in MB with three digits that say something."""
    return _digits(size / 1e6)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def _work(models: Facts) -> Table:
    rows = [["weights; multiply-adds of", "parameters", "not zero", "a source token",
             "not zero", "a target token", "not zero", "zeros"]]  # fmt: skip
    for label, facts in models.items():
        cells = ["-"] * 7
        if "parameters" in facts:
            cells[:2] = f"{facts['parameters']:,}", f"{facts['nonzero']:,}"
        if "work_sparsity" in facts:
            work = (*facts["multiply_adds_per_source_token"],
                    *facts["multiply_adds_per_target_token"])  # fmt: skip
            cells[2:] = [*(f"{n:,}" for n in work), f"{facts['work_sparsity']:.0%}"]
        rows.append([label, *cells])
    return rows


def _grouped(facts: Facts, cells_of: Callable[[str], list[str]]) -> Table:
    """A row for each engine: those of a kind stand together, below its name, since they are what
    is compared; of one model they need none.

    Args:
        cells_of: gives the cells of an engine beside its name.
    """
    engines = facts["engines"]
    if not compares(facts):
        return [[name.removeprefix(f"{said['model']}: "), *cells_of(name)]
                for name, said in engines.items()]  # fmt: skip
    rows = Table()
    for kind in dict.fromkeys(said["kind"] for said in engines.values()):
        names = [name for name, said in engines.items() if said["kind"] == kind]
        found = [[f"  {name.replace(f': {kind}', '')}", *cells_of(name)] for name in names]
        rows += [[kind, *[""] * (len(found[0]) - 1)], *found]
    return rows


def _taken(facts: Facts) -> Table:
    """Bytes and memory of each engine, and what that is of the model that is compared with."""
    ratio = ["ratio"] * compares(facts)

    def cells(name: str) -> list[str]:
        said = facts["engines"][name]
        memory = said["memory_bytes"]
        ratios = [[_ratio(said[f"{what}_ratio"])] * len(ratio) for what in ("bytes", "memory")]
        return [said["form"], _mb(said["bytes"]), *ratios[0],
                "-" if memory is None else _mb(memory), *ratios[1]]  # fmt: skip

    head = ["each engine", "form", "MB on disk", *ratio, "peak memory, MB", *ratio]
    return [head, *_grouped(facts, cells)]


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _quality(facts: Facts, beam: int) -> Table:
    """BLEU and chrF with their differences, and how long each engine's own translations are."""
    scores = {row["engine"]: row for row in facts["quality"] if row["beam"] == beam}
    lengths = {row["engine"]: row["ratio"] for row in facts["own_lengths"] if row["beam"] == beam}

    def cells(name: str) -> list[str]:
        found, row = ["-"] * 5, scores.get(name)
        if row is not None:
            found = [f"{row['bleu']:.2f}", f"{row['bleu_difference']:+.2f}", in_words(row),
                     f"{row['chrf']:.2f}", f"{row['chrf_difference']:+.2f}"]  # fmt: skip
        return [*found[: 5 * bool(scores)], _ratio(lengths.get(name))]

    head = ["BLEU", "change", "which is", "chrF", "change"][: 5 * bool(scores)]
    rows = _grouped(facts, cells)
    return [[f"translations, beam {beam}", *head, "own length"], *rows]


def _speeds(facts: Facts) -> Iterator[Table]:
    """A table for each setting."""
    to = f"to {facts['engines'][facts['base']]['kind']}"
    every = facts["speeds"]
    for beam, batch in dict.fromkeys((s["beam"], s["batch"]) for s in every):
        here = {s["engine"]: s for s in every if (s["beam"], s["batch"]) == (beam, batch)}
        ratios = ["same engine", "which is", to] if compares(facts) else [to, "which is"]
        head = [f"beam {beam}, batch {batch}", "ms a sentence", "95%", "tokens/s", *ratios]
        yield [head, *_grouped(facts, partial(_speed, here, facts))]


def _speed(here: Mapping[str, Any], facts: Facts, name: str) -> list[str]:
    """Times, rates and what they are of others in the same setting: of the same engine's where
    there are several models, else of the first."""
    speed, to = here[name], f"{here[name]['ratio']:.2f}x"
    key, against = "ratios", facts["base"]
    if compares(facts):
        key, against = "against_ratios", speed["against"]
    itself = against in (None, name)
    other = None if itself else here[against]
    times = [_timed(speed[time], other and other[time]) for time in ("ms_median", "ms_95")]
    said = WORDS[verdict(speed[key])] if not itself else "itself" if against else "-"
    cells = [to, said]
    if compares(facts):
        cells = ["-" if itself else _spread(speed[key]), said, to]
    return [*times, f"{speed['tokens_per_second']:,.0f}", *cells]


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"


def _timed(value: float, other: float | None) -> str:
    return f"{_digits(value)} ({value / other:.2f}x)" if other else _digits(value)
