"""How large the inputs are that a network's matrices multiply, over a sample of batches.

Modules do not tell: attention hands its matrices to one function, a LSTM to a loop. So this looks
at the operations themselves, and knows a matrix by its memory, whole or cut, turned or not.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fairseq_prune.network.probing import (
    Sample,
    Tensors,
    check_size,
    loss_of,
    plain_kernels,
    undisturbed,
    weights_of,
)

_PRODUCTS = (
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.baddbmm.default,
)
_LOOK_UP = torch.ops.aten.embedding.default

# a part of a weight as a batch of matrices (b, in, out): name, size, stride, offset in the weight
Part = tuple[str, tuple[int, ...], tuple[int, ...], int]


def squared_inputs(sample: Sample, names: Iterable[str]) -> Tensors:
    """By name, the sum over all tokens of the square of the input that each weight multiplies.

    Of the weight's shape, in float64. The input of an embedding's row is 1 for its own token and 0
    for others. The uses of a shared weight add up. Batches are split so that there is no padding.

    Raises ValueError where the sample is empty, padding is left, the loss is not a number, or
    a weight is used in a way whose input is not known.
    """
    weights = weights_of(sample, names)
    watch = _Watch(weights)
    size, split = 0.0, sample.unpadded or sample.examples
    with undisturbed(sample.model), plain_kernels(), torch.no_grad():
        for batch in sample.batches:
            for part in split(batch):
                with watch:
                    size += loss_of(sample, part)[1]
    sums = watch.sums()
    check_size(sample, size, sums)
    for value in sums.values():
        sample.reduce(value)
    return sums


class _Watch(TorchDispatchMode):
    """Notes the inputs of ``weights`` while it is entered."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._weights = weights
        self._owners: dict[int, list[str]] = {}  # storage to names: one may hold several weights
        for name, weight in weights.items():
            self._owners.setdefault(weight.untyped_storage().data_ptr(), []).append(name)
        self._squares: dict[Part, Tensor] = {}  # (b, in) each

    def sums(self) -> Tensors:
        """What was noted, of each weight's shape."""
        sums = {
            name: torch.zeros_like(weight, dtype=torch.float64, requires_grad=False)
            for name, weight in self._weights.items()
        }
        for (name, size, stride, offset), squares in self._squares.items():
            sums[name].as_strided(size, stride, offset).add_(squares.unsqueeze(-1))
        return sums

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs an operation, and notes the inputs of the weights in it."""
        kwargs = kwargs or {}
        if not func.is_view and any(self._name(x) for x in _tensors((*args, *kwargs.values()))):
            self._note(func, args)
        return func(*args, **kwargs)

    def _name(self, tensor: Tensor) -> str | None:
        """The weight that a tensor is, or is a part of."""
        for name in self._owners.get(tensor.untyped_storage().data_ptr(), ()):
            weight = self._weights[name]
            if 0 <= tensor.storage_offset() - weight.storage_offset() < weight.numel():
                return name
        return None

    def _note(self, func: Any, args: tuple[Any, ...]) -> None:
        if func in _PRODUCTS:
            left, right = (x if x.dim() == 3 else x.unsqueeze(0) for x in args[-2:])
            if self._name(right):
                self._add(right, left)
            if self._name(left):
                self._add(left.mT, right.mT)
        elif func is _LOOK_UP:
            table, tokens, pad = args[0], args[1].flatten(), args[2] if len(args) > 2 else -1
            _check_unpadded(tokens, pad)
            counts = torch.bincount(tokens, minlength=len(table)).double()
            self._keep(table.unsqueeze(0), counts.unsqueeze(0))
        else:
            name = next(found for x in _tensors(args) if (found := self._name(x)))
            raise ValueError(
                f"{name} is used by {func}, of which the input is not known; leave it out with "
                "--prune-exclude, or choose another --prune-saliency."
            )

    def _add(self, matrix: Tensor, x: Tensor) -> None:
        """``x`` (b, rows, in) is multiplied by ``matrix`` (b, in, out), which is a weight."""
        squares = x.double().square().sum(dim=1)
        if matrix.stride(0) == 0:  # one matrix for the whole batch
            matrix, squares = matrix[:1], squares.sum(dim=0, keepdim=True)
        self._keep(matrix, squares)

    def _keep(self, matrix: Tensor, squares: Tensor) -> None:
        name = self._name(matrix)
        assert name is not None
        offset = int(matrix.storage_offset() - self._weights[name].storage_offset())
        part = (name, tuple(matrix.shape), tuple(matrix.stride()), offset)
        if part in self._squares:
            self._squares[part] += squares
        else:
            self._squares[part] = squares


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _check_unpadded(tokens: Tensor, pad: int) -> None:
    if pad >= 0 and bool((tokens == pad).any()):
        raise ValueError(
            "examples are padded even where they are alone, and padding must not count as input: "
            "leave out --required-seq-len-multiple, or choose another --prune-saliency."
        )
