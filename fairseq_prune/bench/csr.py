"""Linear layers as sparse matrices."""

import warnings
from typing import Any

from torch import Tensor, nn


class SparseLinear(nn.Module):
    """A linear layer whose matrix is stored without its zeros."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():  # that sparse tensors are in beta
            warnings.simplefilter("ignore")
            self.matrix = layer.weight.detach().to_sparse_csr()
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        rows = x.reshape(-1, x.shape[-1])
        out = (self.matrix @ rows.T).T.reshape(*x.shape[:-1], self.matrix.shape[0])
        return out if self.bias is None else out + self.bias


def with_sparse_layers_(model: nn.Module) -> None:
    """Replace every linear layer of a model by a sparse one."""
    module: Any
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, SparseLinear(child))
        if hasattr(
            module, "_set_skip_embed_dim_check"
        ):  # attention: ask the layers, as decoding does
            module._set_skip_embed_dim_check()
        if hasattr(module, "can_use_fastpath"):
            module.can_use_fastpath = False
