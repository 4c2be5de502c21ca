"""What weight normalisation divides by is not pruned whole."""

from typing import Any

import pytest
import torch
from torch import nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import of_module
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.weight_norm import check_norms, check_rows


def normed(dim: int) -> tuple[nn.Module, dict[str, Any]]:
    torch.manual_seed(1)
    model = nn.utils.weight_norm(nn.Linear(4, 3, bias=False), dim=dim)
    return model, of_module(model, "tensor", ())


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("kept", [0, 1])
def test_a_slice_without_weights_is_refused_and_would_be_no_number(dim: int, kept: int) -> None:
    model, weights = normed(dim)
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask.select(dim, 1)[kept:] = False
    with torch.no_grad():
        model.weight_v.mul_(mask)  # type: ignore[operator]
    if model(torch.ones(1, 4)).isfinite().all():
        check_norms(weights, Masks({"weight_v": mask}))
    else:
        masks = Masks({"weight_v": mask})
        with pytest.raises(ValueError, match=r"^1 whole row of weight_v would be .* class-uniform"):
            check_norms(weights, masks)
        with pytest.raises(ValueError, match=r"lower --prune-sparsity, another --prune-saliency"):
            check_norms(weights, masks, "class-uniform")
    assert bool(kept) == bool(model(torch.ones(1, 4)).isfinite().all())


def test_a_structure_of_rows_is_refused_before() -> None:
    rows = Recipe(scheme="class-uniform", structure="row")
    with pytest.raises(ValueError, match=r"^--prune-structure row takes whole rows of weight_v"):
        check_rows(rows, normed(0)[1])
    check_rows(rows, normed(1)[1])
    check_rows(rows, of_module(nn.Linear(4, 3), "tensor", ()))
    check_rows(Recipe(scheme="class-uniform", structure="block:2x2"), normed(0)[1])
