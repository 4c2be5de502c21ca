"""The moving average of the weights that fairseq keeps with --store-ema."""

import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from torch import Tensor, nn

from fairseq_prune.masks.hold import Holder

_OF: "weakref.WeakKeyDictionary[nn.Module, Averages]" = weakref.WeakKeyDictionary()


class Averages:
    """The average of one model; none, until fairseq makes it (after the first update, at most)."""

    def __init__(self) -> None:
        self._ema: weakref.ref[Any] | None = None
        self._holder: Holder | None = None

    def begin(self, ema: Any) -> None:
        """The average has been made: a copy of the model, or another file's weights."""
        self._ema = weakref.ref(ema)
        self._zero()

    def hold(self, holder: Holder) -> None:
        """Take new masks over: the average's next update may be a while away.

        Zeros stay zero in later updates, which mix them with the model's.
        """
        self._holder = holder
        self._zero()

    def _zero(self) -> None:
        if self._holder is not None:
            for state in self.states():
                self._holder.zero_state_dict_(state)

    def states(self) -> Iterator[Mapping[str, Tensor]]:
        """Yields the average's tensors by the model's names; those of one tie one by one."""
        ema = self._ema() if self._ema is not None else None
        if ema is None:
            return
        own = dict(ema.model.named_parameters())
        yield own
        # with --ema-fp32: the same tensors, or, where the model's are half as wide, others, which
        # are not tied
        names = {id(tensor): name for name, tensor in own.items()}
        for name, tensor in ema.model.named_parameters(remove_duplicate=False):
            wide = ema.fp32_params.get(name)
            if wide is not None and wide.data_ptr() != tensor.data_ptr():
                yield {names[id(tensor)]: wide}


def follow(model: nn.Module, averages: Averages) -> None:
    """Let ``averages`` know the average that fairseq's trainer makes of ``model``."""
    # not at the top: only training has a trainer
    from fairseq import trainer

    if not hasattr(trainer.build_ema, "follows"):
        trainer.build_ema = _following(trainer.build_ema)
    _OF[model] = averages


def _following(build_ema: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(build_ema)
    def wrapped(model: nn.Module, *rest: Any, **more: Any) -> Any:
        ema = build_ema(model, *rest, **more)
        if model in _OF:
            _OF[model].begin(ema)
        return ema

    wrapped.follows = True  # type: ignore[attr-defined]
    return wrapped
