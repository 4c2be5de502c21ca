"""Numbers that are drawn for scoring: the same at each asking, and the run's own stay as they are.

With ``--num-workers 0`` fairseq collates the next batches in a thread, and data sets that mask or
noise draw there, from the generators of the whole process. So the thread waits meanwhile.
"""

import importlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np
import torch

_DRAWING = threading.RLock()  # by the thread that makes a batch, or by who scores


@contextmanager
def drawn_by(seed: int) -> Iterator[None]:
    """Within it all generators begin at a seed; they come back as they were."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with _DRAWING:
        python, numpy_state = random.getstate(), np.random.get_state()
        with torch.random.fork_rng(devices):
            try:
                random.seed(seed)
                np.random.seed(seed)
                torch.manual_seed(seed)
                yield
            finally:
                random.setstate(python)
                np.random.set_state(numpy_state)


def take_turns() -> None:
    """Let the thread that makes batches wait while numbers are drawn; again changes nothing."""
    kind: Any = importlib.import_module("fairseq.data.iterators").BackgroundConsumer
    if not hasattr(kind.__init__, "takes_turns"):
        kind.__init__ = _waiting(kind.__init__)


def _waiting(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def wrapped(thread: Any, *args: Any, **kwargs: Any) -> None:
        init(thread, *args, **kwargs)
        thread._source = _Turns(thread._source)

    wrapped.takes_turns = True  # type: ignore[attr-defined]
    return wrapped


class _Turns:
    """Makes of what gives batches what gives them one at a time, when nobody else draws."""

    def __init__(self, source: Iterable[Any]) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self._source)
        while True:
            with _DRAWING:
                try:
                    batch = next(batches)
                except StopIteration:
                    return
            yield batch
