"""Which of fairseq's ways to distribute a run can be pruned, and what they keep equal."""

from collections.abc import Iterable
from typing import Any

import torch

from fairseq_prune.network.weights import SHADOW

_TORCH = ("c10d", "pytorch_ddp")


def check_backend(root: Any) -> None:
    """Refuse a backend under which single weights cannot be pruned.

    Args:
        root: fairseq's whole configuration.

    Raises ValueError that says what to use instead.
    """
    distributed = root.distributed_training
    if str(distributed.ddp_backend) == "fully_sharded":
        raise ValueError(
            "--ddp-backend fully_sharded flattens parameters, so that single weights "
            "cannot be pruned; use --ddp-backend legacy_ddp or pytorch_ddp."
        )
    if str(distributed.ddp_backend) == "slowmo":
        raise ValueError(
            "--ddp-backend slowmo moves weights after the optimizer's step, pruned ones too; use "
            "--ddp-backend legacy_ddp or pytorch_ddp."
        )
    if distributed.distributed_world_size > 1 and (getattr(root.model, "base_layers", 0) or 0) > 0:
        raise ValueError(
            "--base-layers gives each rank experts of its own, so that ranks cannot share masks; "
            "use --base-layers 0, or one process."
        )


def check_precision(common: Any) -> None:
    """Refuse half precision that cannot be, before fairseq fails in building its optimizer.

    Args:
        common: the ``common`` group of fairseq's configuration.

    Raises ValueError that says what to use instead.
    """
    flat = common.fp16 and not (common.memory_efficient_fp16 or common.fp16_no_flatten_grads)
    if flat and not torch.cuda.is_available():
        raise ValueError(
            "--fp16 keeps its single-precision weights on a GPU, and torch finds none here: leave "
            "it out, or give --memory-efficient-fp16 to try half precision without one."
        )


def check_quantization(common: Any) -> None:
    """Refuse what replaces the matrices that masks are of while a run goes on.

    Args:
        common: the ``common`` group of fairseq's configuration.

    Raises ValueError that says what to do instead.
    """
    if getattr(common, "quantization_config_path", None) is not None:
        raise ValueError(
            "--quantization-config-path replaces matrices by codebooks while it trains, so that no "
            "mask fits them: prune without it, and give the retrained model "
            "(--finetune-from-model) to a run of stock fairseq-train with it."
        )


def check_gradients(root: Any, names: Iterable[str]) -> None:
    """Refuse what torch's DistributedDataParallel would stop at in the second update.

    Args:
        root: fairseq's whole configuration.
        names: of the parameters that are trained.

    Raises ValueError that says what to use instead.
    """
    distributed = root.distributed_training
    if distributed.distributed_world_size == 1 or distributed.ddp_backend not in _TORCH:
        return
    if not distributed.find_unused_parameters and any(map(SHADOW.search, names)):
        raise ValueError(
            f"--ddp-backend {distributed.ddp_backend} waits for gradients of all parameters, and "
            "fairseq's Transformer encoders have some that get none; use --ddp-backend legacy_ddp, "
            "or add --find-unused-parameters."
        )


def in_step(optimization: Any, distributed: Any) -> bool:
    """Whether all ranks have the same weights after each update, by fairseq's trainer's rule."""
    bmuf = getattr(optimization, "use_bmuf", False)
    return not bmuf and getattr(distributed, "ddp_backend", "") != "slowmo"
