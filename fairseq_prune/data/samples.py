"""One batch of sentences, or one for each language pair; and so for models."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from fairseq_prune.data.binarised_check import check_tokens


def parts_of(sample: Any) -> list[tuple[str | None, Mapping[str, Any]]]:
    """The batches of sentences in what a task makes, with their language pair where there are
    several; none in an empty one."""
    if not isinstance(sample, Mapping) or "net_input" in sample:
        return [(None, sample)] if sample else []
    pairs = [(str(name), part) for name, part in sample.items() if isinstance(part, Mapping)]
    return [(name, part) for name, part in pairs if "net_input" in part]


def models_in(model: Any) -> list[Any]:
    """The models that a model is: one for each language pair, or itself."""
    parts = getattr(model, "models", None)
    return list(parts.values()) if isinstance(parts, nn.ModuleDict) else [model]


def check_sample(sample: Any, task: Any, data: str) -> None:
    """Raise ValueError where a batch has a token that is in no dictionary.

    Args:
        data: the data that it is of, as messages name them.
    """
    for pair, part in parts_of(sample):
        sides = ((part["net_input"].get("src_tokens"), "source"), (part.get("target"), "target"))
        for tokens, side in sides:
            dictionary = dictionary_of(task, side, pair)
            if isinstance(tokens, Tensor) and dictionary is not None:
                check_tokens(tokens, len(dictionary), f"the {side} side of --data {data}")


def dictionary_of(task: Any, side: str, pair: str | None = None) -> Any:
    """The dictionary of a side, and of a language pair where each has its own; None where the task
    has none."""
    if pair is not None:
        return task.dicts.get(pair.split("-")[side == "target"])
    try:
        return getattr(task, f"{side}_dictionary", None)
    except NotImplementedError:  # what fairseq's tasks without one raise
        return None
