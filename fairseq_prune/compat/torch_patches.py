"""fairseq 0.12.2 on torch 1.13 and later."""

import functools
import importlib
from typing import Any

from _fairseq_prune_compat.loading import safe_load
from _fairseq_prune_compat.overlay import Overlay

# the two modules of fairseq that read checkpoints, or send them from rank to rank
_READERS = ("fairseq.checkpoint_utils", "fairseq.distributed.utils")


def safe_loading() -> None:
    """Lets fairseq read its own checkpoints, which ``torch.load`` refuses since torch 2.6.

    They hold an argparse.Namespace, numpy arrays when trained with --eval-bleu, and omegaconf nodes
    on the way from rank to rank. What can run code stays refused: see ``loading``.
    """
    for name in _READERS:
        module: Any = importlib.import_module(name)
        module.torch = Overlay(module.torch, load=safe_load)


def encoder_fastpath() -> None:
    """Keeps the Transformer encoder off its fused inference path.

    torch 1.13 and later want an argument there that fairseq does not pass ("Mask Type should be
    defined"). The path also reads copies of the weights made when the model was loaded, so a weight
    pruned since then would still be used.
    """
    transformer: Any = importlib.import_module("fairseq.modules.transformer_layer")
    layer = transformer.TransformerEncoderLayerBase
    original = layer.__init__

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self.can_use_fastpath = False

    layer.__init__ = __init__
