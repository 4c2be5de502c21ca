"""The weights of a network that can be pruned: its matrices, each counted once.

Works on any mapping of names to tensors, so a live module and a checkpoint's state dict give the
same answer. Left out, and never masked: biases, normalisation, learned positions, buffers, the
gain of weight normalisation, the pad row of an embedding, softmaxed convolution kernels (a zero
there is a logit, not an absent weight) and fairseq's shadow copies.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.maths.select import Score
from fairseq_prune.network.classes import classify
from fairseq_prune.network.patterns import Pattern

# fairseq 0.12.2 keeps a second, untrained copy of every Transformer encoder layer's weights for a
# fused inference path (transformer_layer.py, load_to_BT); underscore instead of dot.
SHADOW = re.compile(r"(^|[._])layers\.\d+\.(in_proj|out_proj|fc1|fc2)_(weight|bias)$")
_NOT_PRUNABLE = re.compile(
    r"(^|\.)(embed_positions|(position|token_type)_embeddings|layer_?norm\w*|\w+_layer_norm)\."
    r"|weight_g$"
)
_EMBEDDING = re.compile(r"(^|\.)embed_tokens\.(weight|embeddings\.0\.0\.weight)$")
_BERT_TABLE = re.compile(r"\.word_embeddings\.weight$")  # no row of it is fixed
FAIRSEQ_PAD = 1  # fairseq.data.Dictionary adds <s>, <pad>, </s>, <unk> in this order


@dataclass(frozen=True)
class Weight:
    """One prunable matrix.

    Args:
        name: its first name in the model's order.
        tensor: the parameter itself, no copy; ``(out, in)`` or a convolution's kernel.
        weight_class: the class it is counted in.
        aliases: every name that shares the tensor, ``name`` first.
        fixed: flat range ``[a, b)`` that is never pruned nor counted (a pad row), or None.
        gain: ``weight_g`` beside a ``weight_v``, or None.
    """

    name: str
    tensor: Tensor
    weight_class: str = ""
    aliases: tuple[str, ...] = ()
    fixed: tuple[int, int] | None = None
    gain: Tensor | None = None

    @property
    def prunable(self) -> int:
        """How many of its weights can be pruned."""
        a, b = self.fixed or (0, 0)
        return self.tensor.numel() - (b - a)

    def effective(self) -> Tensor:
        """The matrix that the layer multiplies by: the tensor itself, or g v / |v| if normed."""
        v = self.tensor.detach()
        if self.gain is None:
            return v
        dims = [d for d in range(v.dim()) if self.gain.shape[d] == 1 and v.shape[d] != 1]
        norm = torch.linalg.vector_norm(v.float(), dim=dims or None, keepdim=True)
        # a column that is pruned whole has norm 0; it stays 0 instead of becoming NaN
        return (v.float() * (self.gain.detach().float() / norm.clamp_min(1e-30))).to(v.dtype)

    def score(self, values: Tensor, absolute: bool = False, alive: Tensor | None = None) -> Score:
        """``values`` (this tensor's shape) as a ranking in which the pad row takes no part."""
        return Score(values, absolute=absolute, alive=alive, fixed=self.fixed)


Weights = Mapping[str, Weight]
Ties = Sequence[tuple[str, ...]]  # the names of each tensor that has several


def is_prunable(name: str, tensor: Tensor) -> bool:
    """Whether a tensor of this name and shape is a matrix that can be pruned."""
    if tensor.dim() < 2 or not tensor.is_floating_point() or tensor.numel() == 0:
        return False
    if SHADOW.search(name) or _NOT_PRUNABLE.search(name):
        return False
    is_softmaxed_kernel = name.endswith(".conv.weight") and tensor.shape[1] == 1
    return not is_softmaxed_kernel


def is_embedding(name: str) -> bool:
    """Whether a weight of this name is a table with a row for each token."""
    return bool(_EMBEDDING.search(name) or _BERT_TABLE.search(name))


def _fixed_row(pad: int, tensor: Tensor) -> tuple[int, int]:
    width = tensor.numel() // tensor.shape[0]
    return pad * width, (pad + 1) * width


def _collect(
    named: Iterable[tuple[str, Tensor]], pads: Mapping[str, int], ties: Ties
) -> dict[str, Weight]:
    everything = dict(named)
    found: dict[str, Weight] = {}
    first: dict[Any, str] = {}
    tied = {name: every for every in ties for name in every}
    for name, tensor in everything.items():
        if not is_prunable(name, tensor):
            continue
        # tied tensors are one tensor: same memory, same shape
        key: Any = id(tensor) if tensor.is_meta else (tensor.data_ptr(), tuple(tensor.shape))
        owner = first.setdefault(tied.get(name, key), name)
        old = found.get(owner, Weight(owner, tensor))
        fixed = _fixed_row(pads[name], tensor) if name in pads else old.fixed
        gain = everything.get(name[: -len("_v")] + "_g") if name.endswith("weight_v") else None
        found[owner] = replace(old, aliases=(*old.aliases, name), fixed=fixed, gain=gain)
    return found


def without(weights: Weights, patterns: Sequence[str]) -> dict[str, Weight]:
    """The weights that no pattern of --prune-exclude leaves out; see :func:`find`.

    Raises ValueError for a pattern that is none, or matches nothing.
    """
    gone: set[str] = set()
    for pattern in patterns:
        try:
            rule = Pattern(pattern)
        except ValueError as error:
            raise ValueError(
                f"--prune-exclude {pattern!r} is not a regular expression ({error})."
            ) from None
        hits = {
            name
            for name, w in weights.items()
            if w.weight_class == pattern or any(map(rule.search, (w.weight_class, *w.aliases)))
        }
        if not hits:
            known = ", ".join(dict.fromkeys(w.weight_class for w in weights.values()))
            raise ValueError(
                f"--prune-exclude {pattern!r} matches no weight; the classes are: {known}."
            )
        gone |= hits
    return {name: w for name, w in weights.items() if name not in gone}


def find(
    named: Iterable[tuple[str, Tensor]],
    pads: Mapping[str, int],
    classes: str = "paper",
    exclude: Sequence[str] = (),
    ties: Ties = (),
) -> dict[str, Weight]:
    """The prunable weights among ``named`` tensors, in their order.

    Args:
        named: names and tensors, in the model's order.
        pads: for each embedding by name, the row that stands for padding.
        classes: granularity or rule file, see :func:`fairseq_prune.network.classes.classify`.
        exclude: weight classes, or regular expressions on classes and names, to leave dense.
        ties: names that are one tensor, beside those that share memory.

    Raises ValueError for an exclusion that matches nothing and where no weight is left.
    """
    found = _collect(named, pads, ties)
    labels = classify({name: w.aliases for name, w in found.items()}, classes)
    found = {name: replace(w, weight_class=labels[name]) for name, w in found.items()}
    found = without(found, exclude)
    if not found:
        raise ValueError(
            "No prunable weight is left: the model has no matrix outside the excluded."
        )
    return found


def of_module(
    model: nn.Module,
    classes: str = "paper",
    exclude: Sequence[str] = (),
    frozen: Collection[str] = (),
) -> dict[str, Weight]:
    """The prunable weights of a module.

    Args:
        frozen: names of parameters that count though they are not trained; others do not.
    """
    pads = {
        f"{path}.weight" if path else "weight": int(module.padding_idx)
        for path, module in model.named_modules()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None
    }
    named = (
        (name, parameter)
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if parameter.requires_grad or name in frozen
    )
    return find(named, pads, classes, exclude)


def with_values(weights: Weights, state: Mapping[str, Any]) -> dict[str, Weight]:
    """The weights of a module with the tensors of a state dict.

    Raises ValueError, naming it, where one is missing there or has another shape.
    """
    found = {}
    for name, weight in weights.items():
        tensor = next((state[a] for a in weight.aliases if isinstance(state.get(a), Tensor)), None)
        if tensor is None or tensor.shape != weight.tensor.shape:
            has = "is missing" if tensor is None else f"is {tuple(tensor.shape)}"
            raise ValueError(
                f"{name} {has}, and {tuple(weight.tensor.shape)} in the model that the settings "
                "describe"
            )
        gain = None if weight.gain is None else state.get(name[: -len("_v")] + "_g")
        found[name] = replace(weight, tensor=tensor, gain=gain)
    return found


def of_state_dict(
    state: Mapping[str, Any],
    classes: str = "paper",
    exclude: Sequence[str] = (),
    ties: Ties = (),
) -> dict[str, Weight]:
    """The prunable weights of a fairseq checkpoint's ``model`` entry; fairseq's pad is row 1."""
    named = [(name, value) for name, value in state.items() if isinstance(value, Tensor)]
    pads = {name: FAIRSEQ_PAD for name, _ in named if _EMBEDDING.search(name)}
    return find(named, pads, classes, exclude, ties)
