"""How a trained model is trained further: as it was trained, for shorter, more gently.

See et al. (2016, section 4.1) retrain with half of the learning rate for a third of the epochs;
the schedule of the learning rate, warm-up included, becomes shorter by the same factor.
"""

from collections.abc import Mapping, Sequence, Set
from fractions import Fraction
from math import ceil
from typing import Any

import torch

from fairseq_prune.files.text import value_of
from fairseq_prune.network.options import HALF
from fairseq_prune.tasks.command_line import Saved, plain_value, training_flags

LENGTH = Fraction(1, 3)
RATE = Fraction(1, 2)
_RATES = ("lr", "max_lr")
# what a schedule of the learning rate counts, in updates and in epochs
_UPDATES = (
    *("warmup_updates", "total_num_update", "lr_period_updates"),
    *("warmup_steps", "hold_steps", "decay_steps"),
)
_EPOCHS = ("halve_after", "halve_every", "force_anneal")
_LEAST = {"halve_after": 1, "force_anneal": 1}  # whole epochs, at least one
_LIMITS = ("--max-epoch", "--max-update")


def retraining_flags(
    checkpoint: Mapping[str, Any], given: Sequence[str] = (), epochs: int | None = None
) -> list[str]:
    """The words that follow ``fairseq-train DATA`` to train a model further.

    All that the checkpoint says of its training (``training_flags``), with half of its learning
    rate for a third of its epochs or updates; a schedule of the learning rate is as much shorter.
    On a processor or a GPU is not said: fairseq takes what is there; without a GPU, half precision
    goes.

    Args:
        checkpoint: as loaded.
        given: words of fairseq-train that stand instead; they come last.
        epochs: instead of a third.

    Raises ValueError where the checkpoint does not say how it was trained, or for how long.
    """
    saved = Saved(checkpoint)
    said = {word.partition("=")[0] for word in given if word.startswith("-")}
    limits, factor = _limits(saved, checkpoint, given, epochs)
    words = [*limits, *_rates(saved, said), *_schedule(saved, said, factor)]
    flags = training_flags(checkpoint, [*words, *given])
    own = len(flags) - len(given)
    machine = ["--cpu", *(() if torch.cuda.is_available() else HALF)]
    return [*(word for word in flags[:own] if word not in machine), *given]


def trained(checkpoint: Mapping[str, Any]) -> tuple[int, int]:
    """How many epochs and updates a checkpoint has behind it; 0 where it does not say."""
    state, history = checkpoint.get("extra_state"), checkpoint.get("optimizer_history")
    iterator = state.get("train_iterator") if isinstance(state, Mapping) else None
    epoch = iterator.get("epoch") if isinstance(iterator, Mapping) else None
    last = history[-1] if isinstance(history, list) and history else None
    updates = last.get("num_updates") if isinstance(last, Mapping) else None
    done = iterator.get("iterations_in_epoch", 0) if isinstance(iterator, Mapping) else 0
    # at an epoch's end fairseq says the one that begins next
    epochs = epoch - (not done) if isinstance(epoch, int) else 0
    return max(epochs, 0), updates if isinstance(updates, int) else 0


def _limits(
    saved: Saved, checkpoint: Mapping[str, Any], given: Sequence[str], epochs: int | None
) -> tuple[list[str], Fraction]:
    """The flags of how long it trains, and what part that is of the training before."""
    most = {flag: _number(saved.get(flag[2:].replace("-", "_"))) for flag in _LIMITS}
    for flag, behind in zip(_LIMITS, trained(checkpoint), strict=True):
        asked = epochs if flag == "--max-epoch" and epochs else _number(value_of(given, flag))
        if asked:
            other = [f for f in _LIMITS if f != flag and value_of(given, f) is None]
            words = [word for f in other if most[f] for word in (f, "0")]
            own = [flag, str(epochs)] if epochs and flag == "--max-epoch" else []
            before = most[flag] or behind
            return [*own, *words], Fraction(asked) / before if before else LENGTH
    if not any(most.values()):
        most["--max-epoch"] = Fraction(trained(checkpoint)[0])
    if not any(most.values()):
        raise ValueError("it does not say for how long it was trained: give --epochs N")
    whole = most["--max-epoch"]  # a third of two epochs is one: the schedule ends with it
    part = Fraction(ceil(whole * LENGTH)) / whole if whole else LENGTH
    pairs = [(flag, str(ceil(n * part))) for flag, n in most.items() if n]
    return [word for pair in pairs for word in pair], part


def _rates(saved: Saved, said: Set[str]) -> list[str]:
    words = []
    for name in _RATES:
        flag, value = "--" + name.replace("_", "-"), plain_value(saved.get(name))
        rates = value if isinstance(value, list) else [value]
        if flag not in said and all(isinstance(r, float | int) and r > 0 for r in rates):
            words += [flag, ",".join(f"{float(r * RATE):.12g}" for r in rates)]
    return words


def _schedule(saved: Saved, said: Set[str], factor: Fraction) -> list[str]:
    if "--lr-scheduler" in said:
        return []
    words = []
    for name in (*_UPDATES, *_EPOCHS):
        flag, number = "--" + name.replace("_", "-"), _number(saved.get(name))
        if flag in said or number <= 0:
            continue
        scaled = max(number * factor, Fraction(_LEAST.get(name, 0)))
        words += [flag, str(scaled if name.startswith("halve") else ceil(scaled))]
    return words


def _number(value: Any) -> Fraction:
    """A setting as a number, which fairseq may keep as text; 0 where it is none."""
    try:
        return Fraction(value if isinstance(value, int | str) else repr(value))
    except (ValueError, TypeError, ZeroDivisionError):
        return Fraction(0)
