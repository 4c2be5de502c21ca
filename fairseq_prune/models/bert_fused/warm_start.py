"""The weights of a plain Transformer as the beginning of a fused one (Zhu et al. 2020, 4.1)."""

import logging
from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from fairseq_prune.checkpoints import storage
from fairseq_prune.network.options import Options, model_options
from fairseq_prune.network.weights import SHADOW

# settings that change what the same weights compute
_SAME = (
    "activation_fn",
    "decoder_attention_heads",
    "decoder_normalize_before",
    "encoder_attention_heads",
    "encoder_normalize_before",
    "no_scale_embedding",
)

logger = logging.getLogger("fairseq_prune")


def is_new(name: str) -> bool:
    """Whether a plain Transformer has no tensor of this name."""
    return ".bert_attn." in name or name.startswith("encoder.bert.")


def load_plain_(model: Any, path: str, settings: Any) -> None:
    """Copy a plain Transformer's weights into a fused one; what BERT is for stays as it is.

    Args:
        path: of the plain one's checkpoint.
        settings: of the fused one, fairseq's Namespace or configuration.

    Raises ValueError where another tensor is missing, left over or of another shape, and where the
    two compute differently with the same weights.
    """
    checkpoint = storage.load(path)
    _check_settings(model_options(checkpoint), settings, path)
    given: dict[str, Tensor] = dict(checkpoint["model"])
    model.upgrade_state_dict(given)
    own = model.state_dict()
    expected = {name for name in own if not is_new(name) and not SHADOW.search(name)}
    found = {name for name in given if not SHADOW.search(name)}
    _refuse(path, "has no", expected - found)
    _refuse(path, "has in excess", found - expected)
    other = [n for n in sorted(expected) if own[n].shape != given[n].shape]
    if other:
        name = other[0]
        raise ValueError(
            f"--warmup-from-nmt {path}: {name} is {tuple(given[name].shape)} there and "
            f"{tuple(own[name].shape)} here: train with the same sizes and dictionaries."
        )
    if storage.prune_state(checkpoint):
        logger.warning("%s was pruned; its zeros are weights like others here", path)
    # not fairseq's own method, which has no way to leave some out
    nn.Module.load_state_dict(model, {name: given[name] for name in expected}, strict=False)


def _check_settings(plain: Options, settings: Any, path: str) -> None:
    for name in _SAME:
        there, here = plain.get(name), getattr(settings, name, None)
        if there is not None and there != here:
            flag = "--" + name.replace("_", "-")
            raise ValueError(
                f"--warmup-from-nmt {path} was trained with {flag} {there}, and this run has "
                f"{here}: give the same."
            )


def _refuse(path: str, what: str, names: Collection[str]) -> None:
    if names:
        first = min(names)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise ValueError(
            f"--warmup-from-nmt {path} {what} {first}{more}: it is not the plain Transformer of "
            "this run; train one with --arch transformer and the same flags."
        )
