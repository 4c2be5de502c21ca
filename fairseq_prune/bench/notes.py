"""What stands below the tables of a benchmark: what they say, in words, and how it was measured."""

from collections.abc import Iterator, Mapping
from typing import Any

from fairseq_prune.bench import OWN
from fairseq_prune.bench.answer import answer_of
from fairseq_prune.bench.speed import LEAST
from fairseq_prune.bench.tables import compares

Facts = Mapping[str, Any]


def notes_of(facts: Facts) -> list[str]:
    """The sentences."""
    left_out = [f"left out: {sentence}" for sentence in facts["left_out"]]
    return [*answer_of(facts), *left_out, *_how(facts)]


def _how(facts: Facts) -> Iterator[str]:
    """How the numbers were made."""
    asked, own = facts["asked"], facts["length"] == OWN
    rounds, threads = asked["rounds"], asked["threads"]
    yield (
        "each model's own translations are timed, which differ in length: tokens/s tell more than "
        "ms a sentence" if own else
        "timed with as many steps as the references have tokens, the same for every model (a "
        "batch: as many as its references have on average)"
    )  # fmt: skip
    yield (
        "ms a sentence: the median and the 95th percentile, at batch 1 of sentences, else of "
        f"batches by their sentences ({_counts(facts)}), each the median of its rounds"
    )
    if asked["cpu_time"]:
        yield "times are the process's on the processor, not the clock's (--cpu-time)"
    yield from _compared(facts)
    yield (
        f"faster: in every one of {rounds} rounds, which chance alone does once in {2**rounds}; "
        "unsure: not in every round: measure again on an idle machine; no gain: a median below "
        f"{LEAST}, by which two copies of one model may differ"
    )
    if facts["quality"]:
        count, signature = facts["quality"][0]["sentences"], facts["quality"][0]["bleu_signature"]
        yield (
            f"BLEU and chrF of {count} sentences, each translated to its own end; sacreBLEU "
            f"{signature}; p of paired bootstrap resampling, corrected for their number (Holm)"
        )
    if facts["own_lengths"]:
        yield "own length: tokens of an engine's own translations, of the references'"
    beam, batch = (max(s[name] for s in facts["speeds"]) for name in ("beam", "batch"))
    yield (
        f"peak memory: resident, of a process that translates these sentences only, beam {beam}, "
        f"batch {batch}, its programs and libraries included (torch and fairseq, or CTranslate2 "
        "alone)"
    )
    yield (
        f"{asked['sentences']} sentences of {asked['subset']}, {rounds} rounds, "
        f"{threads} thread{'s' if threads > 1 else ''}"
    )


def _compared(facts: Facts) -> Iterator[str]:
    """What the ratios are of."""
    if compares(facts):
        against, kind = facts["against"], facts["engines"][facts["base"]]["kind"]
        yield (
            f'ratios and "which is" are of {against}\'s: in the same engine and form; where it has '
            f'none, -; "to {kind}", BLEU and chrF are of {against} in {kind}'
        )
    batch, sentences = max(s["batch"] for s in facts["speeds"]), facts["asked"]["sentences"]
    if batch > sentences:
        yield f"batch {batch} has {sentences} sentences: there are no more"


def _counts(facts: Facts) -> str:
    """How many batches there are of each size."""
    found = {s["batch"]: s["batches"] for s in facts["speeds"] if s["batch"] > 1}
    return ", ".join(f"{count} of {size}" for size, count in found.items()) or "none here"
