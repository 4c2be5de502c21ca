"""Reading one number a layer from a flag."""

from typing import Any

from fairseq_prune.pruning.refusal import Refusal


def per_layer(args: Any, name: str, layers: int) -> list[int]:
    """The numbers of a setting such as ``encoder_ffn_widths``, one a layer.

    Raises ValueError where they are not that many whole numbers above 0.
    """
    text, flag = getattr(args, name, None), "--" + name.replace("_", "-")
    words = str(text or "").split(",")
    if not all(word.strip().isdigit() and int(word) > 0 for word in words) or len(words) != layers:
        raise Refusal(
            f"{flag} {text} must be {layers} whole numbers, one a layer, such as "
            f"{','.join(['64'] * layers)}; fairseq-prune shrink prints those of its output."
        )
    return [int(word) for word in words]
