"""What a benchmark says, in words: what is fastest and smallest, what is faster, at what BLEU."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from fairseq_prune.bench import OWN
from fairseq_prune.bench.quality import in_words
from fairseq_prune.bench.speed import FASTER, NO_GAIN, UNSURE, verdict
from fairseq_prune.files.text import listed

Facts = Mapping[str, Any]
FAR = 1.25  # times the references' tokens, or that many times fewer: far from them
_SAID = {FASTER: "faster", NO_GAIN: "no faster", UNSURE: "unsure"}


def answer_of(facts: Facts) -> list[str]:
    """The sentences."""
    found = [*_fastest(facts), _least(facts, "bytes", "smallest on disk")]
    if all(said["memory_bytes"] is not None for said in facts["engines"].values()):
        found.append(_least(facts, "memory_bytes", "least memory"))
    for label in facts["models"]:
        if label != facts["against"]:
            found.append(_is_faster(facts, label))
    return [*found, *_bleu(facts), *_own_lengths(facts)]


def _engine(facts: Facts, name: str) -> str:
    said = facts["engines"][name]
    return f"{said['model']} in {said['kind']}"


def _by_setting(facts: Facts) -> dict[str, list[Facts]]:
    found: dict[str, list[Facts]] = {}
    for speed in facts["speeds"]:
        found.setdefault(f"beam {speed['beam']}, batch {speed['batch']}", []).append(speed)
    return found


def _rate(speed: Facts) -> float:
    return float(speed["tokens_per_second"])


def _fastest(facts: Facts) -> Iterator[str]:
    """A sentence for each setting; what is as fast in one of the rounds is named beside it."""
    for setting, here in _by_setting(facts).items():
        first = max(here, key=_rate)
        near = [
            _engine(facts, speed["engine"]) for speed in here if speed is not first
            and any(a >= b for a, b in zip(speed["rates"], first["rates"], strict=True))
        ]  # fmt: skip
        times = ""
        if first["engine"] != facts["base"]:
            times = f", {first['ratio']:.2f} times as fast as {_engine(facts, facts['base'])}"
        more = f"; not told apart from it: {listed(near, 3)}" if near else ""
        yield f"fastest at {setting}: {_engine(facts, first['engine'])}{times}{more}"


def _least(facts: Facts, key: str, what: str) -> str:
    engines = facts["engines"]
    least = min(engines, key=lambda name: int(engines[name][key]))
    ratio = engines[least][key] / engines[facts["base"]][key]
    of = "" if least == facts["base"] else f", {ratio:.2f} of {_engine(facts, facts['base'])}"
    return f"{what}: {_engine(facts, least)}{of}"


def _is_faster(facts: Facts, label: str) -> str:
    """Whether a model in its fastest engine is faster than the other one in its own fastest.

    In one and the same engine it may be, and still gain nothing: sparse matrices make a model with
    zeros faster than one without, and both slower than they are without them.
    """
    by_verdict: dict[str, list[str]] = {}
    for setting, here in _by_setting(facts).items():
        mine, other = (
            max((s for s in here if facts["engines"][s["engine"]]["model"] == model), key=_rate)
            for model in (label, facts["against"])
        )
        ratios = [a / b for a, b in zip(mine["rates"], other["rates"], strict=True)]
        kind, of = (facts["engines"][speed["engine"]]["kind"] for speed in (mine, other))
        where = kind + (f" against {of}" if of != kind else "")
        median = statistics.median(ratios)
        by_verdict.setdefault(verdict(ratios), []).append(f"{setting} ({where}, {median:.2f}x)")
    parts = [f"{_SAID[word]} at {', at '.join(where)}" for word, where in by_verdict.items()]
    return f"{label} against {facts['against']}, each in its fastest engine: {'; '.join(parts)}"


def _bleu(facts: Facts) -> Iterator[str]:
    """A sentence for each model and beam: is its BLEU another one?"""
    rows = [row for row in facts["quality"] if row["engine"] != facts["base"]]
    keys = [(facts["engines"][row["engine"]]["model"], row["beam"]) for row in rows]
    for label, beam in dict.fromkeys(keys):
        mine = [row for key, row in zip(keys, rows, strict=True) if key == (label, beam)]
        parts = [
            f"{in_words(row)} in {facts['engines'][row['engine']]['kind']}"
            f" ({row['bleu']:.2f}, {row['bleu_difference']:+.2f})" for row in mine
        ]  # fmt: skip
        base = _engine(facts, facts["base"])
        yield f"BLEU of {label} at beam {beam} against {base}: {'; '.join(parts)}"


def _own_lengths(facts: Facts) -> Iterator[str]:
    """A sentence for each model whose own translations are far from as long as the references."""
    far: dict[tuple[str, str], list[str]] = {}
    for row in facts["own_lengths"]:
        said = facts["engines"][row["engine"]]
        if not 1 / FAR <= row["ratio"] <= FAR:
            how = "run on" if row["ratio"] > 1 else "stop early"
            where = f"{row['ratio']:.2f} times in {said['kind']} at beam {row['beam']}"
            far.setdefault((said["model"], how), []).append(where)
    so = "its times above are of those; --length reference times all alike"
    if facts["length"] != OWN:
        so = "times of these (--length own) would mislead"
    for (label, how), parts in far.items():
        times = ", ".join(parts)
        yield f"own translations of {label} {how}: of the references' tokens {times}; {so}"
