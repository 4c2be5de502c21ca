"""The loss of a batch as the task's own step makes it, without a step.

What a batch is, and how a loss comes of it, is the task's: a dictionary of language pairs with a
model each, a target that is noised first, a source that is made by back-translation. So its
``train_step`` is run, with a stand-in for the optimizer that keeps each loss it would go back
through. Dropout stays off, and what the step draws is drawn by seed: the same at each asking.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq import metrics
from torch import Tensor, nn

from fairseq_prune.data.samples import models_in
from fairseq_prune.network.probing import UnknownInput
from fairseq_prune.pruning.refusal import Refusal, reason_of

_PLAIN = (bool, int, float)


@dataclass
class _Losses:
    """Stands in for an optimizer."""

    found: list[Tensor] = field(default_factory=list)

    def backward(self, loss: Tensor) -> None:
        """Keeps what an optimizer would go back through."""
        self.found.append(loss)


@dataclass(frozen=True)
class Step:
    """What a task makes of a batch.

    Args:
        task: a task of fairseq; with pruning, ours does nothing here.
        model: the one that is scored.
        others: models that the task may have in hand beside it (of which ``model`` is a copy).
        updates: how many updates are completed: a task may weigh its losses by it.
    """

    task: Any
    model: nn.Module
    criterion: Any
    updates: Callable[[], int]
    others: tuple[nn.Module, ...] = ()

    def __call__(
        self, sample: Any, temperature: float = 1.0, alone: bool = False
    ) -> tuple[Tensor, float]:
        """Loss (a scalar with a graph) and size of what fairseq's data set has collated.

        Args:
            alone: whether the sample is of one of several data sets, and of the others is none.

        Raises ValueError where the task makes no loss of it, or logits cannot be divided.
        """
        step = getattr(self.task, "own_step", self.task.train_step)
        losses = _Losses()
        with ExitStack() as stack:
            for model in (self.model, *self.others):
                stack.enter_context(_in_evaluation(model))
            for counted in (self.task, self.criterion):
                stack.enter_context(_left(counted))
            stack.enter_context(metrics.aggregate(new_root=True))
            divided = stack.enter_context(_divided(self.model, temperature))
            try:
                _, size, _ = step(sample, self.model, self.criterion, losses, self.updates())
            except (Refusal, UnknownInput, torch.OutOfMemoryError):
                raise
            except Exception as error:
                raise ValueError(self._no_loss(error, alone)) from error
        if losses.found and not divided:
            raise ValueError(f"the {_NO_LOGITS} of {type(self.model).__name__}; {_ANOTHER}")
        return _sum(losses.found), float(size)

    def _no_loss(self, error: Exception, alone: bool) -> str:
        name = getattr(self.task, "stock_name", type(self.task).__name__)
        why = f"({type(error).__name__}: {reason_of(error)})"
        if alone:
            return (
                f"--task {name} takes no example of one of its data sets without the others {why}; "
                "choose a --prune-saliency that scores batches, such as snip or taylor."
            )
        return (
            f"--task {name} with --criterion {type(self.criterion).__name__} gives no loss of a "
            f"batch to score on {why}; choose a --prune-saliency that needs no data, such as "
            "magnitude."
        )


_NO_LOGITS = "logits are to be divided by a temperature, and it is not known where they are in what"
_ANOTHER = "choose another --prune-saliency than grasp."


def _sum(losses: list[Tensor]) -> Tensor:
    if not losses:
        return torch.zeros(())
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total


@contextmanager
def _in_evaluation(model: nn.Module) -> Iterator[None]:
    """Within it, ``model.train()`` and ``model.eval()``, which a step may call, change nothing."""
    modes = [(module, module.training) for module in model.modules()]
    # fairseq's fused encoder path (in evaluation mode) reads copies that take no gradient
    fused = [m for m in model.modules() if getattr(m, "can_use_fastpath", False)]
    own = vars(model).get("train")
    model.eval()
    for module in fused:
        module.can_use_fastpath = False  # type: ignore[assignment]
    vars(model)["train"] = lambda mode=True: model
    try:
        yield
    finally:
        del vars(model)["train"]
        if own is not None:
            vars(model)["train"] = own
        for module in fused:
            module.can_use_fastpath = True  # type: ignore[assignment]
        for module, mode in modes:
            module.training = mode


@contextmanager
def _left(owner: Any) -> Iterator[None]:
    """What an object counts or weighs by is put back: a step may change it."""
    before = {name: value for name, value in vars(owner).items() if type(value) in _PLAIN}
    try:
        yield
    finally:
        vars(owner).update(before)


@contextmanager
def _divided(model: nn.Module, temperature: float) -> Iterator[list[bool]]:
    """Within it a model's logits are divided; gives a list that is empty until some were.

    Of a model of several models, one for a language pair say, those of each.
    """
    if temperature == 1.0:
        yield [True]
        return
    done: list[bool] = []
    changed = list(dict.fromkeys(models_in(model)))
    for part in changed:
        vars(part)["forward"] = _dividing(part.forward, temperature, done)
    try:
        yield done
    finally:
        for part in changed:
            del vars(part)["forward"]


def _dividing(
    forward: Callable[..., Any], temperature: float, done: list[bool]
) -> Callable[..., Any]:
    def divided(*args: Any, **kwargs: Any) -> Any:
        done.append(True)
        return _over(forward(*args, **kwargs), temperature)

    return divided


def _over(output: Any, temperature: float) -> Any:
    if isinstance(output, Tensor):
        return output / temperature
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        return (output[0] / temperature, *output[1:])
    # non-autoregressive models: what each of several losses is of
    if isinstance(output, Mapping) and output and all(map(_has_logits, output.values())):
        return {n: {**part, "out": part["out"] / temperature} for n, part in output.items()}
    raise Refusal(f"the {_NO_LOGITS} the model puts out; {_ANOTHER}")


def _has_logits(part: Any) -> bool:
    """Whether a loss is made of what a part of the output has in ``out``, and not made yet."""
    return isinstance(part, Mapping) and "loss" not in part and isinstance(part.get("out"), Tensor)
