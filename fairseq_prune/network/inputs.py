"""How large the inputs are that a network's matrices multiply, over a sample of batches.

Modules do not tell: attention hands its matrices to one function, a LSTM to a loop. So this looks
at the operations themselves, and knows a matrix by its memory, whole or cut, turned or not.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fairseq_prune.network.probing import (
    Sample,
    Tensors,
    UnknownInput,
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
_TIMES = torch.ops.aten.mul.Tensor

# how a weight (out, in) reads values. (name, 1): it multiplies them. (name, 0): they are multiplied
# by what it makes, which is to multiply them by the weight turned, (in, out)
Reading = tuple[str, int]
Readings = dict[Reading, Tensor]
# a part of a weight as a batch of matrices (b, in, out): size, stride, offset in the weight
Part = tuple[Reading, tuple[int, ...], tuple[int, ...], int]


# of what a matrix multiplies, and the matrix: (b, rows, in), (b, in, out); gives a sum over rows:
# (b, in)
Statistic = Callable[[Tensor, Tensor], Tensor]


def squares(x: Tensor, matrix: Tensor) -> Tensor:
    """The sum of the squared inputs."""
    return x.double().square().sum(dim=1)


def magnitudes(x: Tensor, matrix: Tensor) -> Tensor:
    """The sum of the inputs' magnitudes."""
    return x.double().abs().sum(dim=1)


def values(x: Tensor, matrix: Tensor) -> Tensor:
    """The sum of the inputs."""
    return x.double().sum(dim=1)


def energy(x: Tensor, matrix: Tensor) -> Tensor:
    """The sum of x_i w_ij y_j, its mean over the outputs j; y = x w, without any bias."""
    x, matrix = x.double(), matrix.double()
    return (x * (x @ matrix @ matrix.mT)).sum(dim=1) / matrix.shape[2]


def squared_inputs(sample: Sample, names: Iterable[str]) -> Tensors:
    """By name, the sum over all tokens of the square of the input that each weight multiplies.

    Of the weight's shape, in float64. The input of an embedding's row is 1 for its own token and 0
    for others. The uses of a shared weight add up. Batches are split so that there is no padding.

    Raises ValueError where the sample is empty, padding is left, the loss is not a number, or
    a weight is used in a way whose input is not known.
    """
    readings = [(name, 1) for name in names]
    found = _shared(sample, _watched(sample, readings, squares, tables=True).sums())
    return {name: value for (name, _), value in found.items()}


def input_sums(sample: Sample, readings: Iterable[Reading], statistic: Statistic) -> Readings:
    """As :func:`squared_inputs`, of any statistic; looking a row up in a table is no product.

    What a weight reads along its dimension 0 counts once, however often it is read.
    """
    return _shared(sample, _watched(sample, readings, statistic).sums())


def input_means(sample: Sample, readings: Iterable[Reading], statistic: Statistic) -> Readings:
    """The same sums over how many tokens they are of."""
    watch = _watched(sample, readings, statistic)
    sums, counts = _shared(sample, watch.sums()), _shared(sample, watch.counts())
    return {reading: total / counts[reading].clamp_min(1) for reading, total in sums.items()}


def _watched(
    sample: Sample, readings: Iterable[Reading], statistic: Statistic, tables: bool = False
) -> "_Watch":
    """What was seen of the inputs over this rank's part of the sample.

    Args:
        tables: whether looking a row up in a table counts as multiplying it by 1.
    """
    watch = _watch(sample, readings, statistic, tables)
    size, split = 0.0, sample.unpadded or sample.examples
    with undisturbed(sample.model), plain_kernels():
        for batch in sample.batches:
            for part in split(batch):
                with watch:
                    size += loss_of(sample, part)[1]
    check_size(sample, size, watch.weights)
    return watch


def _watch(
    sample: Sample, readings: Iterable[Reading], statistic: Statistic, tables: bool = False
) -> "_Watch":
    known = list(readings)
    names = dict.fromkeys(name for name, _ in known)
    return _Watch(weights_of(sample, names), known, statistic, tables)


def _shared(sample: Sample, values: Readings) -> Readings:
    for value in values.values():
        sample.reduce(value)
    return values


def each_example(
    sample: Sample, readings: Iterable[Reading], statistic: Statistic
) -> Generator[tuple[float, Readings, Readings], None, None]:
    """This rank's examples, one by one: loss per token, sums of a statistic of the inputs, counts.

    Sums and counts are over the example's tokens, of the weight's shape. Who does not take all of
    them has to close it: until then torch computes by other kernels everywhere.
    """
    readings = list(readings)
    with undisturbed(sample.model), plain_kernels():
        for batch in sample.batches:
            for one in sample.examples(batch):
                watch = _watch(sample, readings, statistic)
                with watch:
                    loss, size = loss_of(sample, one)
                yield float(loss.detach()) / size, watch.sums(), watch.counts()


class _Watch(TorchDispatchMode):
    """Notes the inputs of ``weights`` while it is entered, in what gradients would go through."""

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        readings: Sequence[Reading],
        statistic: Statistic,
        tables: bool,
    ) -> None:
        super().__init__()
        self.weights, self._readings = dict(weights), readings
        self._statistic, self._tables = statistic, tables
        self._owners: dict[int, list[str]] = {}  # storage to names: one may hold several weights
        for name, weight in weights.items():
            self._owners.setdefault(weight.untyped_storage().data_ptr(), []).append(name)
        self._sums: dict[Part, Tensor] = {}  # (b, in) each
        self._counts: dict[Part, int] = {}
        # of weights that are read along dimension 0: what they made last, and what that has
        # multiplied. They are kept, so that no other tensor can have their memory
        self._made: dict[str, tuple[Tensor, Tensor]] = {}
        self._multiplied: dict[str, Tensor] = {}

    def sums(self) -> Readings:
        """What was noted, of each weight's shape."""
        return self._spread({part: value.unsqueeze(-1) for part, value in self._sums.items()})

    def counts(self) -> Readings:
        """Of how many tokens, of each weight's shape."""
        return self._spread(self._counts)

    def _spread(self, parts: Mapping[Part, Any]) -> Readings:
        missed = next((name for name in self._made if name not in self._multiplied), None)
        if missed is not None:
            raise UnknownInput(_unknown(missed, "an operation that takes what it makes"))
        found = {
            reading: torch.zeros_like(
                self.weights[reading[0]], dtype=torch.float64, requires_grad=False
            )
            for reading in self._readings
        }
        for (reading, size, stride, offset), value in parts.items():
            if reading in found:
                found[reading].as_strided(size, stride, offset).add_(value)
        return found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs an operation, and notes the inputs of the weights in it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not torch.is_grad_enabled():  # no part of the loss: a task's own decoding, say
            return result
        if not func.is_view and any(self._name(x) for x in _tensors((*args, *kwargs.values()))):
            self._note(func, args, result)
        elif func is _TIMES and self._made:
            self._note_multiplied(*args)
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
            left, right = (x if x.dim() == 3 else x.unsqueeze(0) for x in args[-2:])
            if self._name(right):
                self._add(right, left, result)
            if self._name(left):
                self._add(left.mT, right.mT, result)
        elif func is _LOOK_UP:
            if self._tables:
                self._look_up(args[0], args[1].flatten(), args[2] if len(args) > 2 else -1)
        else:
            name = next(found for x in _tensors(args) if (found := self._name(x)))
            raise UnknownInput(_unknown(name, func))

    def _note_multiplied(self, one: Any, other: Any) -> None:
        """Notes the values that a product takes beside what a weight has made."""
        if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
            return
        for made, states in ((one, other), (other, one)):
            for name, (result, matrix) in self._made.items():
                if _shares(made, result):
                    self._add_multiplied(name, states, matrix)

    def _add_multiplied(self, name: str, states: Tensor, matrix: Tensor) -> None:
        before = self._multiplied.get(name)
        if before is not None and _is(states, before):
            return  # attention reads the same states at each step of the decoder
        self._multiplied[name] = states
        turned, x = matrix[:1].mT, states.reshape(1, -1, states.shape[-1])  # (1, out, in)
        self._keep(turned, self._statistic(x, turned), x.shape[1], dim=0)

    def _look_up(self, table: Tensor, tokens: Tensor, pad: int) -> None:
        _check_unpadded(tokens, pad)
        counts = torch.bincount(tokens, minlength=len(table)).double()
        self._keep(table.unsqueeze(0), counts.unsqueeze(0), len(tokens))

    def _add(self, matrix: Tensor, x: Tensor, result: Tensor) -> None:
        """``x`` (b, rows, in) times ``matrix`` (b, in, out), a weight; ``result`` has a bias in."""
        name = self._name(matrix)
        if name is not None and (name, 0) in self._readings:
            self._made[name] = result, matrix
        noted, rows = self._statistic(x, matrix), x.shape[1]
        if matrix.stride(0) == 0:  # one matrix for the whole batch
            matrix, rows, noted = matrix[:1], rows * len(x), noted.sum(dim=0, keepdim=True)
        self._keep(matrix, noted, rows)

    def _keep(self, matrix: Tensor, noted: Tensor, rows: int, dim: int = 1) -> None:
        name = self._name(matrix)
        assert name is not None
        offset = int(matrix.storage_offset() - self.weights[name].storage_offset())
        part = ((name, dim), tuple(matrix.shape), tuple(matrix.stride()), offset)
        self._counts[part] = self._counts.get(part, 0) + rows
        self._sums[part] = self._sums[part] + noted if part in self._sums else noted


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _shares(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have their memory in common."""
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _is(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same numbers in the same place."""
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape


def _unknown(name: str, how: Any) -> str:
    return (
        f"{name} is used by {how}, of which the input is not known; leave it out with "
        "--prune-exclude, or choose another --prune-saliency."
    )


def _check_unpadded(tokens: Tensor, pad: int) -> None:
    if pad >= 0 and bool((tokens == pad).any()):
        raise UnknownInput(
            "examples are padded even where they are alone, and padding must not count as input: "
            "leave out --required-seq-len-multiple, or choose another --prune-saliency."
        )
