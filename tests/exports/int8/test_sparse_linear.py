"""The layer whose blocks of zeros are left out equals its dense twin, and knows where it cannot."""

import warnings

import pytest
import torch
from torch import Tensor

from fairseq_prune.exports.int8 import sparse_linear
from fairseq_prune.exports.int8.linear import Int8Linear, quantised
from fairseq_prune.exports.int8.sparse_linear import (
    FEW,
    BlockSparseLinear,
    can_leave_out_zeros,
    maker,
    removed_blocks,
)

needs_kernels = pytest.mark.skipif(not can_leave_out_zeros(), reason="no such kernels here")
SHAPES = ((1, 1), (5, 3), (10, 7), (17, 130), (64, 96), (512, 256))


def blocks(out: int, width: int, removed: float = 0.8) -> Tensor:
    """A matrix (out, width) of which this fraction of 1 x 4 blocks is zero."""
    draw = torch.Generator().manual_seed(out * 1000 + width)
    kept = torch.rand(out, -(-width // 4), generator=draw) >= removed
    large = kept.repeat_interleave(4, dim=1)[:, :width]
    return torch.randn(out, width, generator=draw) * large


def inputs(rows: int, width: int) -> Tensor:
    return torch.rand(rows, width, generator=torch.Generator().manual_seed(rows)) * 2 - 1


@needs_kernels
@pytest.mark.parametrize("out, width", SHAPES)
@pytest.mark.parametrize("has_bias", [False, True])
def test_both_kernels_give_the_same_bits(out: int, width: int, has_bias: bool) -> None:
    weight, scale = quantised(blocks(out, width))
    bias = torch.linspace(-1, 1, out) if has_bias else None
    layer = BlockSparseLinear(weight, scale, bias, -9.0, 12.0)
    for rows in (1, 2, 5, 16, 40, 100):
        x = inputs(rows, width)
        assert torch.equal(layer.sparse(x), layer.dense(x))
        if rows > FEW:
            assert torch.equal(layer(x), layer.dense(x))
        else:
            assert torch.equal(layer(x), Int8Linear(weight, scale, bias)(x))


@needs_kernels
def test_sums_as_large_as_they_can_be_do_not_overflow() -> None:
    weight = torch.full((8, 512), 63, dtype=torch.int8)
    weight[1::2] = -63
    layer = BlockSparseLinear(weight, torch.full((8,), 1 / 63), None, -600.0, 600.0)
    x = torch.tensor([-1.0, -0.5, 0.0, 1.0])[:, None].repeat(1, 512)
    x = torch.cat((x, x * torch.tensor([1.0, -1.0]).repeat(256)))
    found = layer.sparse(x)
    assert torch.equal(found, layer.dense(x))
    torch.testing.assert_close(found[3, :2], torch.tensor([512.0, -512.0]), atol=2.4, rtol=0)


@needs_kernels
def test_an_output_is_that_of_any_size_rounded_to_a_step_of_the_range() -> None:
    weight, scale = quantised(blocks(64, 96))
    bias = torch.linspace(-1, 1, 64)
    x = inputs(20, 96)
    exact = Int8Linear(weight, scale, bias)(x)
    low, high = float(exact.min()), float(exact.max())
    found = BlockSparseLinear(weight, scale, bias, low, high)(x)
    assert float((found - exact).abs().max()) <= 0.51 * (high - low) / 255 + 1e-4


@needs_kernels
def test_an_output_beyond_the_range_becomes_its_end() -> None:
    weight, scale = quantised(torch.eye(8))
    layer = BlockSparseLinear(weight, scale, None, -0.25, 0.5)
    found = layer.sparse(torch.tensor([[1.0] * 8, [-1.0] * 8]))
    torch.testing.assert_close(found[0], torch.full((8,), 0.5), atol=2e-3, rtol=0)
    torch.testing.assert_close(found[1], torch.full((8,), -0.25), atol=2e-3, rtol=0)


@needs_kernels
def test_inputs_of_any_size_are_computed_exactly() -> None:
    weight, scale = quantised(blocks(64, 96))
    bias = torch.linspace(-1, 1, 64)
    x = torch.randn(3, 96) * 50
    found = BlockSparseLinear(weight, scale, bias, -0.1, 0.1).of_any_size(x)
    assert torch.equal(found, Int8Linear(weight, scale, bias).of_any_size(x))


@needs_kernels
def test_a_kernel_is_chosen_once_for_about_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, scale = quantised(blocks(64, 96))
    layer = BlockSparseLinear(weight, scale, None, -9.0, 12.0)
    seen: list[int] = []
    choose = sparse_linear._fastest
    monkeypatch.setattr(
        sparse_linear, "_fastest", lambda kernels, x: seen.append(len(x)) or choose(kernels, x)
    )
    for rows in (4, FEW, 9, 15, 16, 10, 31, 32):
        layer(inputs(rows, 96))
    assert seen == [9, 16, 32]


@needs_kernels
def test_the_faster_kernel_is_taken() -> None:
    taken = sparse_linear._fastest((_slow, _fast), torch.zeros(1))
    assert taken is _fast


def _slow(x: Tensor) -> Tensor:
    return torch.randn(400, 400) @ torch.randn(400, 400)


def _fast(x: Tensor) -> Tensor:
    return x


@needs_kernels
def test_the_setting_of_the_process_stays_as_it_was() -> None:
    before = torch.backends.quantized.engine
    for engine in set(torch.backends.quantized.supported_engines) - {"none"}:
        torch.backends.quantized.engine = engine
        try:
            BlockSparseLinear(*quantised(blocks(8, 8)), None, -1.0, 1.0)
            assert torch.backends.quantized.engine == engine
        finally:
            torch.backends.quantized.engine = before


@needs_kernels
def test_no_warning_of_torch_reaches_the_user() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = BlockSparseLinear(*quantised(blocks(8, 8)), None, -1.0, 1.0)
        layer(inputs(30, 8))


def test_weights_of_eight_bits_are_refused() -> None:
    weight = torch.full((4, 8), 64, dtype=torch.int8)
    with pytest.raises(ValueError, match="^weights must be of 7 bits, -63 to 63, but one is 64$"):
        BlockSparseLinear(weight, torch.ones(4), None, -1.0, 1.0)


@pytest.mark.parametrize("low, high", [(0.0, 0.0), (float("nan"), 1.0), (-1.0, float("inf"))])
def test_a_range_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="^a range of outputs must be wider than 0"):
        BlockSparseLinear(*quantised(torch.eye(4)), None, low, high)


def test_blocks_are_counted_along_the_inputs() -> None:
    weight = torch.zeros(2, 8, dtype=torch.int8)
    weight[0, 0], weight[1, 7] = 1, -1
    assert removed_blocks(weight) == 0.5
    weight[:, 0] = 1
    assert removed_blocks(weight) == 0.25
    assert removed_blocks(torch.tensor([[0, 0, 0, 0, 1]])) == 0.5


def test_a_torch_without_the_kernels_computes_all_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: object) -> None:
        raise RuntimeError("no such engine")

    monkeypatch.setattr(sparse_linear, "fbgemm_packed", missing)
    can_leave_out_zeros.cache_clear()
    try:
        make = maker({"a": (-1.0, 1.0), "b": (-1.0, 1.0)})
        made = [make(name, *quantised(torch.eye(4)), None) for name in "abc"]
    finally:
        can_leave_out_zeros.cache_clear()
    assert [type(layer) for layer in made] == [Int8Linear] * 3
    assert caplog.messages == [
        f"torch {torch.__version__} has no kernel for blocks of zeros on this processor (FBGEMM's, "
        "for x86): all matrices are computed whole, and zeros gain no time"
    ]


@needs_kernels
def test_layers_with_a_range_leave_out_zeros() -> None:
    make = maker({"a": (-1.0, 1.0)})
    made = [make(name, *quantised(torch.eye(4)), None) for name in "ab"]
    assert [type(layer) for layer in made] == [BlockSparseLinear, Int8Linear]
