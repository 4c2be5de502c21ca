"""The tables of a benchmark."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairseq_prune.bench.sizes import FORMS
from fairseq_prune.files.table import Table

Facts = Mapping[str, Any]


def tables_of(facts: Facts) -> list[Table]:
    """Bytes by form, weights and work, what each engine takes, and speeds."""
    return [_sizes(facts["models"]), _work(facts["models"]), _taken(facts), _speeds(facts)]


def compares(facts: Facts) -> bool:
    """Whether there is another model than the one that is compared with."""
    return len(facts["models"]) > 1


def _sizes(models: Facts) -> Table:
    first = next(iter(models.values()))["bytes"]
    base = "stripped" if "stripped" in first else "as it is"
    rows = [[f"bytes, and of the first {base}", *models]]
    every = dict.fromkeys(form for facts in models.values() for form in facts["bytes"])
    for form in [f for f in FORMS if f in every] + [f for f in every if f not in FORMS]:
        found = [facts["bytes"].get(form) for facts in models.values()]
        cells = ["-" if n is None else f"{n:,} ({n / first[base]:.0%})" for n in found]
        rows.append([form, *cells])
    return rows


def _work(models: Facts) -> Table:
    rows = [["weights and work", *models]]
    lines: tuple[tuple[str, Callable[[Any], str]], ...] = (
        ("parameters", lambda f: f"{f['parameters']:,}"),
        ("not zero", lambda f: f"{f['nonzero']:,} ({f['nonzero'] / f['parameters']:.0%})"),
        ("multiply-adds a source token", lambda f: _pair(f["multiply_adds_per_source_token"])),
        ("multiply-adds a target token", lambda f: _pair(f["multiply_adds_per_target_token"])),
        ("of them with zeros", lambda f: f"{f['work_sparsity']:.0%}"),
    )
    for label, read in lines:
        rows.append([label, *(_cell(read, facts) for facts in models.values())])
    return rows


def _cell(read: Callable[[Any], str], facts: Any) -> str:
    try:
        return read(facts)
    except KeyError:  # what a folder of CTranslate2 does not say
        return "-"


def _pair(values: Sequence[int]) -> str:
    dense, sparse = values
    return f"{dense:,}" if dense == sparse else f"{dense:,} ({sparse:,} without zeros)"


def _taken(facts: Facts) -> Table:
    """Bytes and memory of each engine, and what that is of the model that is compared with."""
    compared = compares(facts)
    of = [f"of {facts['against']}'s"] * compared
    rows = [["model: engine", "form", "bytes", *of, "peak memory", *of]]
    for name, said in facts["engines"].items():
        memory = said["memory_bytes"]
        rows.append([
            name, said["form"],
            f"{said['bytes']:,}", *([_ratio(said["bytes_ratio"])] * compared),
            "-" if memory is None else f"{memory / 1e6:,.1f} MB",
            *([_ratio(said["memory_ratio"])] * compared),
        ])  # fmt: skip
    return rows


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _speeds(facts: Facts) -> Table:
    more = [f"against {facts['against']} in the same engine"] if compares(facts) else []
    rows = [["beam", "batch", "model: engine", "tokens/s", "ms a sentence", "against the first",
             *more]]  # fmt: skip
    for speed in facts["speeds"]:
        cells = [
            str(speed["beam"]), str(speed["batch"]), speed["engine"],
            f"{speed['tokens_per_second']:.0f}", f"{speed['ms_per_sentence']:.2f}", speed["gain"],
        ]  # fmt: skip
        rows.append(cells + ([speed["against_gain"]] if more else []))
    return rows
