"""Layers that are gone, said in a file as fairseq understands it.

fairseq opens a file without the layers that its settings ``encoder_layers_to_keep`` and
``decoder_layers_to_keep`` do not name, and renumbers the others. So stock fairseq runs what this
package runs under the masks. In memory the network is whole, with all layers under their numbers,
and these settings are not set: every checkpoint goes through here when it is read or written.
"""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from fairseq_prune.network.layers import is_layer, kept_of, renamed
from fairseq_prune.network.options import changed

PRUNE_KEY = "prune"  # our entry in a checkpoint's task_state
_BY_LAYER = (
    *("encoder_ffn_widths", "decoder_ffn_widths"),
    *("encoder_heads", "decoder_heads", "decoder_cross_heads"),
)
KEEPING = ("encoder_layers_to_keep", "decoder_layers_to_keep")  # fairseq's settings


def out_of(content: Mapping[str, Any]) -> frozenset[str]:
    """The layers that the masks of a checkpoint leave out; empty where they are not well-formed."""
    found: Any = content
    for key in ("task_state", PRUNE_KEY, "masks", "out"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return frozenset(filter(is_layer, found if isinstance(found, list) else ()))


def as_written(content: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint as a file has it: its settings name the layers that are run."""
    out = out_of(content)
    if not out:
        return dict(content)
    kept = kept_of(out, content["model"])
    return _with(content, {_name(side): ",".join(map(str, n)) for side, n in kept.items()})


def as_read(content: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint as it is in memory: its settings are those of the whole network."""
    if not out_of(content):
        return dict(content)
    return _with(content, dict.fromkeys(map(_name, kept_of((), content["model"]))))


def without_layers(content: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint of the network that is run: its model without the layers that are gone.

    Masks and averages stay those of the whole network.
    """
    out = out_of(content)
    if not out:
        return dict(content)
    kept, settings = kept_of(out, content["model"]), _settings(content)
    left = {renamed(name, kept): value for name, value in content["model"].items()}
    left.pop(None, None)
    values: dict[str, Any] = {f"{side}_layers": len(numbers) for side, numbers in kept.items()}
    for name in _BY_LAYER:  # of our shrunk architectures
        words, numbers = settings.get(name), kept.get(name.partition("_")[0])
        if isinstance(words, str) and numbers is not None:
            values[name] = ",".join(words.split(",")[number] for number in numbers)
    return _with({**content, "model": left}, values)


def misses(content: Mapping[str, Any]) -> bool:
    """Whether a file, as it lies, has stock fairseq run other layers than its masks leave."""
    if not out_of(content):
        return False
    said, written = _settings(content), _settings(as_written(content))
    return any(said.get(name) != written.get(name) for name in KEEPING)


def _name(side: str) -> str:
    return f"{side}_layers_to_keep"


def _settings(content: Mapping[str, Any]) -> Mapping[str, Any]:
    cfg = content.get("cfg")
    found = cfg.get("model") if isinstance(cfg, Mapping) else None
    found = content.get("args") if found is None else found
    return vars(found) if isinstance(found, Namespace) else found or {}


def _with(content: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    result, cfg = dict(content), content.get("cfg")
    if isinstance(cfg, Mapping) and cfg.get("model") is not None:
        result["cfg"] = {**cfg, "model": changed(cfg["model"], values)}
    if content.get("args") is not None:
        result["args"] = changed(content["args"], values)
    return result
