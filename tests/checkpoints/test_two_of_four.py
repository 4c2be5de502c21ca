"""Which tensors 2:4 kernels take: torch's own limits, and a reason for every other tensor."""

import pytest
import torch
from torch import Tensor
from torch.sparse import semi_structured

from fairseq_prune.checkpoints.two_of_four import KERNELS, eligibility, format_eligibility, summed
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import Weight


def pattern(rows: int, columns: int, kept: str = "1010") -> Tensor:
    """A mask that repeats ``kept`` along the inputs."""
    return torch.tensor([c == "1" for c in kept]).repeat(rows, columns // len(kept))


def found(name: str, mask: Tensor, **more: object) -> str:
    weight = Weight(name, torch.ones(mask.shape), aliases=(name,), **more)  # type: ignore[arg-type]
    (one,) = eligibility({name: weight}, Masks({name: mask}), asked=True)
    assert bool(one.kernels) != bool(one.reason)
    return one.reason or ", ".join(one.kernels)


def test_the_limits_are_torchs() -> None:
    for kernel, name in (("cusparselt", "CUSPARSELT"), ("cutlass", "CUTLASS")):
        backend = getattr(semi_structured, f"SparseSemiStructuredTensor{name}")
        for dtype in (torch.float16, torch.bfloat16):
            limits = backend._DTYPE_SHAPE_CONSTRAINTS[dtype]
            assert KERNELS[kernel] == (limits.sparse_min_rows, limits.sparse_min_cols)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((32, 64), "cusparselt, cutlass"),
        ((48, 32), "cusparselt"),
        ((16, 8), "16 x 8 is no multiple of 16 x 16 nor of 32 x 64"),
        ((24, 64), "24 x 64 is no multiple of 16 x 16 nor of 32 x 64"),
    ],
)
def test_shapes(shape: tuple[int, int], expected: str) -> None:
    assert found("decoder.layers.0.fc1.weight", pattern(*shape)) == expected


@pytest.mark.parametrize(
    ("kept", "expected"),
    [("1000", "cusparselt"), ("11110000", "keeps more than 2 of 4 inputs")],
)
def test_patterns(kept: str, expected: str) -> None:
    assert found("fc1.weight", pattern(16, 16, kept)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("encoder.embed_tokens.weight", "an embedding is looked up, not multiplied"),
        ("encoder.lstm.weight_ih_l0_reverse", "an LSTM's gates have dense kernels of their own"),
        ("decoder.layers.1.weight_hh", "an LSTM's gates have dense kernels of their own"),
    ],
)
def test_uses(name: str, expected: str) -> None:
    assert found(name, pattern(32, 64)) == expected


def test_what_is_no_plain_matrix() -> None:
    assert found("conv.weight", pattern(16, 64).reshape(16, 16, 4)).startswith("a convolution")
    gain = torch.ones(16, 1)
    assert found("fc.weight_v", pattern(16, 16), gain=gain).startswith("weight normalisation")


def test_the_pad_row_does_not_count() -> None:
    mask = pattern(16, 16)
    mask[1] = True
    weights = {"w": Weight("w", torch.ones(16, 16), fixed=(16, 32))}
    (one,) = eligibility(weights, Masks({"w": mask}, {"w": (16, 32)}))
    assert (one.kernels, one.kept) == (("cusparselt",), 15 * 8)


def test_masks_tell_the_pattern_where_the_recipe_does_not() -> None:
    weights = {n: Weight(n, torch.ones(16, 16)) for n in "ab"}
    even, uneven = pattern(16, 16), pattern(16, 16, "1110")
    assert len(eligibility(weights, Masks({"a": even, "b": even}))) == 2
    assert eligibility(weights, Masks({"a": even, "b": uneven})) == []
    both = eligibility(weights, Masks({"a": even, "b": uneven}), asked=True)
    sums = summed(both)
    assert (sums["eligible"], sums["eligible_kept"], sums["kept"]) == (1, 128, 128 + 192)
    assert format_eligibility(both)[1:] == [
        "  a  cusparselt",
        "  b  no: keeps more than 2 of 4 inputs",
        "  eligible: 1 of 2 tensors, 128 of 320 weights kept",
    ]


def test_what_is_removed_whole_is_in_no_pattern() -> None:
    """Zeros everywhere keep at most 2 of 4, and say nothing of a pattern that was asked for."""
    name = "decoder.layers.0.fc1.weight"
    weights = {n: Weight(n, torch.ones(32, 64), aliases=(n,)) for n in (name, "other.weight")}
    dead = Masks({n: pattern(32, 64, "0000") for n in weights})
    assert eligibility(weights, dead) == []
    one = Masks({name: pattern(32, 64), "other.weight": pattern(32, 64, "0000")})
    assert [t.reason for t in eligibility(weights, one)] == [None, "nothing of it is left"]
    assert [t.reason for t in eligibility(weights, dead, True)] == ["nothing of it is left"] * 2
