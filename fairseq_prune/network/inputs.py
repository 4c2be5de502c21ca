"""How large the inputs are that a network's matrices multiply, over a sample of batches.

Modules do not tell: attention hands its matrices to one function, a LSTM to a loop. So this looks
at the operations themselves, and knows a matrix by its memory, whole or cut, turned or not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
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


# of what a matrix multiplies, what comes out, and the matrix: (b, rows, in), (b, rows, out),
# (b, in, out); gives a sum over rows: (b, in)
Statistic = Callable[[Tensor, Tensor, Tensor], Tensor]


def squares(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
    """The sum of the squared inputs."""
    return x.double().square().sum(dim=1)


def magnitudes(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
    """The sum of the inputs' magnitudes."""
    return x.double().abs().sum(dim=1)


def values(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
    """The sum of the inputs."""
    return x.double().sum(dim=1)


def energy(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
    """The sum of x_i w_ij y_j, its mean over the outputs j."""
    return (x.double() * (y.double() @ matrix.double().mT)).sum(dim=1) / y.shape[2]


def squared_inputs(sample: Sample, names: Iterable[str]) -> Tensors:
    """By name, the sum over all tokens of the square of the input that each weight multiplies.

    Of the weight's shape, in float64. The input of an embedding's row is 1 for its own token and 0
    for others. The uses of a shared weight add up. Batches are split so that there is no padding.

    Raises ValueError where the sample is empty, padding is left, the loss is not a number, or
    a weight is used in a way whose input is not known.
    """
    return _shared(sample, _watched(sample, names, squares, tables=True).sums())


def input_sums(sample: Sample, names: Iterable[str], statistic: Statistic) -> Tensors:
    """As :func:`squared_inputs`, of any statistic; looking a row up in a table is no product."""
    return _shared(sample, _watched(sample, names, statistic).sums())


def input_means(sample: Sample, names: Iterable[str], statistic: Statistic) -> Tensors:
    """The same sums over how many tokens they are of."""
    watch = _watched(sample, names, statistic)
    sums, counts = _shared(sample, watch.sums()), _shared(sample, watch.counts())
    return {name: total / counts[name].clamp_min(1) for name, total in sums.items()}


def _watched(
    sample: Sample, names: Iterable[str], statistic: Statistic, tables: bool = False
) -> "_Watch":
    """What was seen of the inputs over this rank's part of the sample.

    Args:
        tables: whether looking a row up in a table counts as multiplying it by 1.
    """
    watch = _Watch(weights_of(sample, names), statistic, tables)
    size, split = 0.0, sample.unpadded or sample.examples
    with undisturbed(sample.model), plain_kernels(), torch.no_grad():
        for batch in sample.batches:
            for part in split(batch):
                with watch:
                    size += loss_of(sample, part)[1]
    check_size(sample, size, watch.weights)
    return watch


def _shared(sample: Sample, values: Tensors) -> Tensors:
    for value in values.values():
        sample.reduce(value)
    return values


def each_example(
    sample: Sample, names: Iterable[str], statistic: Statistic
) -> Iterator[tuple[float, Tensors]]:
    """This rank's examples, one by one: loss per token, and means of a statistic of the inputs.

    The means are over the example's tokens, of the weight's shape.
    """
    weights = weights_of(sample, names)
    with undisturbed(sample.model), plain_kernels(), torch.no_grad():
        for batch in sample.batches:
            for one in sample.examples(batch):
                watch = _Watch(weights, statistic, False)
                with watch:
                    loss, size = loss_of(sample, one)
                counts = watch.counts()
                means = {n: s / counts[n].clamp_min(1) for n, s in watch.sums().items()}
                yield float(loss) / size, means


class _Watch(TorchDispatchMode):
    """Notes the inputs of ``weights`` while it is entered."""

    def __init__(self, weights: Mapping[str, Tensor], statistic: Statistic, tables: bool) -> None:
        super().__init__()
        self.weights, self._statistic, self._tables = dict(weights), statistic, tables
        self._owners: dict[int, list[str]] = {}  # storage to names: one may hold several weights
        for name, weight in weights.items():
            self._owners.setdefault(weight.untyped_storage().data_ptr(), []).append(name)
        self._sums: dict[Part, Tensor] = {}  # (b, in) each
        self._counts: dict[Part, int] = {}

    def sums(self) -> Tensors:
        """What was noted, of each weight's shape."""
        return self._spread({part: value.unsqueeze(-1) for part, value in self._sums.items()})

    def counts(self) -> Tensors:
        """Of how many tokens, of each weight's shape."""
        return self._spread(self._counts)

    def _spread(self, parts: Mapping[Part, Any]) -> Tensors:
        found = {
            name: torch.zeros_like(weight, dtype=torch.float64, requires_grad=False)
            for name, weight in self.weights.items()
        }
        for (name, size, stride, offset), value in parts.items():
            found[name].as_strided(size, stride, offset).add_(value)
        return found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs an operation, and notes the inputs of the weights in it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not func.is_view and any(self._name(x) for x in _tensors((*args, *kwargs.values()))):
            self._note(func, args, result)
        return result

    def _name(self, tensor: Tensor) -> str | None:
        """The weight that a tensor is, or is a part of."""
        for name in self._owners.get(tensor.untyped_storage().data_ptr(), ()):
            weight = self.weights[name]
            if 0 <= tensor.storage_offset() - weight.storage_offset() < weight.numel():
                return name
        return None

    def _note(self, func: Any, args: tuple[Any, ...], result: Any) -> None:
        if func in _PRODUCTS:
            left, right, out = (x if x.dim() == 3 else x.unsqueeze(0) for x in (*args[-2:], result))
            if self._name(right):
                self._add(right, left, out)
            if self._name(left):
                self._add(left.mT, right.mT, out.mT)
        elif func is _LOOK_UP:
            if self._tables:
                self._look_up(args[0], args[1].flatten(), args[2] if len(args) > 2 else -1)
        else:
            name = next(found for x in _tensors(args) if (found := self._name(x)))
            raise ValueError(
                f"{name} is used by {func}, of which the input is not known; leave it out with "
                "--prune-exclude, or choose another --prune-saliency."
            )

    def _look_up(self, table: Tensor, tokens: Tensor, pad: int) -> None:
        _check_unpadded(tokens, pad)
        counts = torch.bincount(tokens, minlength=len(table)).double()
        self._keep(table.unsqueeze(0), counts.unsqueeze(0), len(tokens))

    def _add(self, matrix: Tensor, x: Tensor, y: Tensor) -> None:
        """``x`` (b, rows, in) times ``matrix`` (b, in, out), which is a weight, is ``y``."""
        noted, rows = self._statistic(x, y, matrix), x.shape[1]
        if matrix.stride(0) == 0:  # one matrix for the whole batch
            matrix, rows, noted = matrix[:1], rows * len(x), noted.sum(dim=0, keepdim=True)
        self._keep(matrix, noted, rows)

    def _keep(self, matrix: Tensor, noted: Tensor, rows: int) -> None:
        name = self._name(matrix)
        assert name is not None
        offset = int(matrix.storage_offset() - self.weights[name].storage_offset())
        part = (name, tuple(matrix.shape), tuple(matrix.stride()), offset)
        self._counts[part] = self._counts.get(part, 0) + rows
        self._sums[part] = self._sums[part] + noted if part in self._sums else noted


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
