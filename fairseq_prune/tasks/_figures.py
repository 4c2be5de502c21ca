"""What the log of a training says of pruning."""

from collections.abc import Callable, Sequence
from functools import partial

from fairseq import metrics

from fairseq_prune.pruning.summary import ClassRow
from fairseq_prune.tasks._session import Session


def log_figures(session: Session) -> None:
    """The penalty, and the sparsity over all and by class, in per cent."""
    penalty = session.penalty
    if penalty is not None:
        _log_value("penalty", lambda: penalty.value)
    if session.holder is None:
        return
    _log_value("sparsity", lambda: _percent(session.rows))
    for number, row in enumerate(session.rows):
        now = partial(lambda n: _percent([session.rows[n]]), number)
        _log_value(f"sparsity/{row.name}", now, priority=1500)


def _log_value(key: str, now: Callable[[], float], priority: int = 500) -> None:
    # derived: the value in force when the line is printed, not an average over the interval. It is
    # asked for at that time: fairseq keeps the first function it is given under a key.
    metrics.log_derived(key, lambda _meters: now(), priority=priority)


def _percent(rows: Sequence[ClassRow]) -> float:
    removed, prunable = sum(r.removed for r in rows), sum(r.prunable for r in rows)
    return round(100 * removed / prunable, 2)
