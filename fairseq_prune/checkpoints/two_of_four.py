"""Which 2:4-pruned tensors have the shape and the use that semi-structured kernels take.

These are kernels of GPUs, for half precision: cuSPARSELt's and CUTLASS's, as torch.sparse wraps
them. That a tensor may be given to them does not say that it gets faster.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import Weight, Weights, is_embedding

# rows and columns that the matrix must be multiples of, in fp16 and bf16 (torch.sparse, 2.13)
KERNELS = {"cusparselt": (16, 16), "cutlass": (32, 64)}
_LSTM_GATES = re.compile(r"(^|\.)weight_[ih]h(_l\d+(_reverse)?)?$")


@dataclass(frozen=True)
class Eligibility:
    """One tensor.

    Args:
        kernels: those of KERNELS that take it; none where there is a ``reason`` why not.
        kept: how many of its weights are kept.
    """

    name: str
    shape: tuple[int, ...]
    kept: int
    kernels: tuple[str, ...] = ()
    reason: str | None = None


def eligibility(weights: Weights, masks: Masks, asked: bool = False) -> list[Eligibility]:
    """Each pruned tensor's eligibility; empty where the masks are not in the pattern.

    Args:
        asked: whether the recipe says N:M. If not, the masks are looked at: a file that was
            retrained, or took another's masks, has the pattern without saying so.
    """
    fits = {name: _is_two_of_four(masks[name], masks.fixed.get(name)) for name in masks}
    kept = any(masks.prunable(name) > masks.removed(name) for name in masks)
    if not asked and not (kept and all(fits.values())):
        return []
    return [_of(weights[name], masks, fits[name]) for name in masks]


def _of(weight: Weight, masks: Masks, fits: bool) -> Eligibility:
    name, shape = weight.name, tuple(weight.tensor.shape)
    kept = masks.prunable(name) - masks.removed(name)
    reason = _reason(weight) if fits else "keeps more than 2 of 4 inputs"
    reason = "nothing of it is left" if not kept else reason
    if reason is not None:
        return Eligibility(name, shape, kept, reason=reason)
    able = tuple(k for k, unit in KERNELS.items() if not (shape[0] % unit[0] or shape[1] % unit[1]))
    if not able:
        units = " nor of ".join(f"{rows} x {columns}" for rows, columns in KERNELS.values())
        reason = f"{shape[0]} x {shape[1]} is no multiple of {units}"
    return Eligibility(name, shape, kept, able, reason)


def _reason(weight: Weight) -> str | None:
    """Why no kernel takes it, whatever its size."""
    if any(map(is_embedding, weight.aliases or (weight.name,))):
        return "an embedding is looked up, not multiplied"
    if _LSTM_GATES.search(weight.name):
        return "an LSTM's gates have dense kernels of their own"
    if weight.tensor.dim() != 2:
        return "a convolution's kernel is no matrix"
    if weight.gain is not None:
        return "weight normalisation makes the matrix anew at each use"
    return None


def _is_two_of_four(mask: Tensor, fixed: tuple[int, int] | None) -> bool:
    matrix = mask.flatten(1)
    if matrix.shape[1] % 4:
        return False
    kept = matrix.reshape(-1, 4).sum(dim=1)
    if fixed is not None:  # a pad row's mask is ones
        kept[fixed[0] // 4 : fixed[1] // 4] = 0
    return int(kept.max()) <= 2


def summed(tensors: Sequence[Eligibility]) -> dict[str, Any]:
    """The tensors and their sums, for JSON; ``kept`` counts weights that are not pruned."""
    able = [t for t in tensors if t.kernels]
    return {
        "tensors": [{"name": t.name, "kernels": t.kernels, "reason": t.reason} for t in tensors],
        "eligible": len(able),
        "eligible_kept": sum(t.kept for t in able),
        "kept": sum(t.kept for t in tensors),
    }


def format_eligibility(tensors: Sequence[Eligibility]) -> list[str]:
    """Lines to be read: a head, one for each tensor, and the sums."""
    if not tensors:
        return []
    sums = summed(tensors)
    width = max(len(t.name) for t in tensors)
    return [
        "2:4 kernels of GPUs in fp16 or bf16: which tensors they take; no promise of speed",
        *(f"  {t.name:{width}}  {', '.join(t.kernels) or f'no: {t.reason}'}" for t in tensors),
        f"  eligible: {sums['eligible']} of {len(tensors)} tensors, {sums['eligible_kept']:,} of "
        f"{sums['kept']:,} weights kept",
    ]
