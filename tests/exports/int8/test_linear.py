"""Linear layers in integers compute what their integers say, by each of torch's kernels."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.exports.int8 import linear
from fairseq_prune.exports.int8.linear import (
    KERNELS,
    Int8Linear,
    codes,
    dequantised,
    kernels,
    numbers,
    quantised,
)


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    monkeypatch.setattr(linear, "kernels", lambda: (name, name))
    return name


def layer_of(outputs: int, inputs: int, has_bias: bool = True) -> tuple[Int8Linear, Any, Any]:
    torch.manual_seed(outputs)
    stored = quantised(torch.randn(outputs, inputs))
    bias = torch.randn(outputs) if has_bias else None
    return Int8Linear(*stored, bias), stored, bias


def test_both_kernels_are_in_this_torch() -> None:
    assert kernels() == ("fbgemm", "onednn")


@pytest.mark.parametrize("rows", [1, 5, 33])
@pytest.mark.parametrize(("outputs", "inputs", "has_bias"), [(7, 3, True), (40, 65, False)])
def test_a_product_is_that_of_the_integers(
    kernel: str, rows: int, outputs: int, inputs: int, has_bias: bool
) -> None:
    layer, stored, bias = layer_of(outputs, inputs, has_bias)
    x = torch.rand(rows, inputs) * 2 - 1
    exact = numbers(codes(x)).double() @ dequantised(*stored).double().T
    exact = exact if bias is None else exact + bias
    assert torch.allclose(layer(x).double(), exact, atol=1e-5)


def test_the_largest_sums_do_not_overflow(kernel: str) -> None:
    weight = torch.tensor([[1.0] * 512, [-1.0] * 512])
    layer = Int8Linear(*quantised(weight), None)
    for value in (1.0, -1.0):
        found = layer(torch.full((3, 512), value))
        assert torch.allclose(found, torch.tensor([[512.0, -512.0]]) * value, rtol=1e-5)


def test_a_row_does_not_depend_on_the_others(kernel: str) -> None:
    layer, _, _ = layer_of(40, 24)
    x = torch.rand(9, 24) * 2 - 1
    for product in (layer, layer.of_any_size):
        whole = product(x)
        assert all(torch.equal(product(x[n : n + 1])[0], whole[n]) for n in range(9))


def test_numbers_of_any_size_have_a_scale_a_row(kernel: str) -> None:
    layer, stored, bias = layer_of(6, 20)
    x = torch.randn(4, 20) * torch.tensor([[1e-3], [1.0], [100.0], [0.0]])
    exact = x @ dequantised(*stored).T + bias
    error = (layer.of_any_size(x) - exact).abs().amax(dim=1)
    assert bool((error <= 0.05 * x.abs().amax(dim=1) + 1e-6).all())


def test_the_engine_that_torch_has_chosen_stays(kernel: str) -> None:
    before = torch.backends.quantized.engine
    layer_of(4, 4)[0](torch.zeros(1, 4))
    assert torch.backends.quantized.engine == before


@given(st.integers(0, 1 << 30), st.sampled_from([1e-6, 1.0, 1e4]))
def test_weights_are_off_by_half_a_step_and_zeros_stay(seed: int, size: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(5, 9, generator=draw) * size
    weight[torch.rand(5, 9, generator=draw) < 0.5] = 0
    weight[0] = 0
    stored, scale = quantised(weight)
    assert int(stored.abs().max()) <= 63
    assert bool(((dequantised(stored, scale) - weight).abs() <= scale[:, None] * 0.5001).all())
    assert not stored[weight == 0].any()


def test_codes_are_those_of_their_numbers() -> None:
    every = torch.arange(1, 256).to(torch.uint8)
    assert torch.equal(codes(numbers(every)), every)
    assert codes(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [1, 128, 255]


def test_a_torch_without_kernels_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: Any) -> Any:
        raise RuntimeError("Didn't find engine for operation quantized::linear_prepack")

    def wrong(*_: Any) -> Any:
        return lambda x: x * 2

    kernels.cache_clear()
    try:
        monkeypatch.setitem(KERNELS, "fbgemm", lacking)
        assert kernels() == ("onednn", "onednn")
        kernels.cache_clear()
        monkeypatch.setitem(KERNELS, "onednn", wrong)
        with pytest.raises(ValueError, match="has no 8-bit linear layers for this processor"):
            kernels()
    finally:
        kernels.cache_clear()
