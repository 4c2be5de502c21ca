"""How many multiplications and additions a network's matrices cost for each token.

A matrix is used once for each token of its side. What attention does beside its matrices grows
with the sentence and not with the weights, and is left out; so is what happens once a sentence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fairseq_prune.network.classes import prefix_of
from fairseq_prune.network.weights import Weight, Weights, is_embedding

_SOFTMAX = re.compile(r"decoder\.(fc_out|output_projection|embed_out)\b")
# a BERT reads about as many tokens as the encoder
_OF_THE_SOURCE = re.compile(
    r"encoder\.|decoder\.layers\.\d+\.encoder_attn\.(bert_attn\.)?[kv]_proj\."
)
_HEAD = re.compile(r"classification_heads\.[^.]+\.weight$")
_ONCE = re.compile(r"decoder\.encoder_(hidden|cell)_proj\.")


@dataclass(frozen=True)
class Work:
    """Multiply-adds for each token of the source, and for each of the target."""

    source: int
    target: int

    @property
    def pair(self) -> int:
        """For a source token and a target token."""
        return self.source + self.target


def work(weights: Weights, used: Mapping[str, int] | None = None) -> Work:
    """The multiply-adds of a network with these weights.

    Args:
        used: by name, how many of a weight's elements are worked with (those that are not zero,
            say); None for all.
    """
    weights = _of_one_model(weights)
    ties = not any(_SOFTMAX.match(alias) for w in weights.values() for alias in w.aliases)
    source = target = 0
    for name, weight in weights.items():
        count = weight.tensor.numel() if used is None else used[name]
        if _is_softmax(weight, ties):
            target += count
        elif is_embedding(name) or _ONCE.match(weight.aliases[0]):
            continue
        elif _OF_THE_SOURCE.match(weight.aliases[0]):
            source += count
        else:
            target += count
    return Work(source, target)


def _of_one_model(weights: Weights) -> Weights:
    """The weights that take part in one translation, their names without a prefix.

    Of a model of several language pairs, those of the first.
    """
    first = next(filter(None, (prefix_of(a) for w in weights.values() for a in w.aliases)), "")
    found = {}
    for name, weight in weights.items():
        own = tuple(a.removeprefix(first) for a in weight.aliases if prefix_of(a) in ("", first))
        if own:
            found[name] = replace(weight, aliases=own)
    return found


def _is_softmax(weight: Weight, ties: bool) -> bool:
    if ties:  # the decoder's table is the softmax, as in fairseq's LSTM
        return "decoder.embed_tokens.weight" in weight.aliases
    return any(_SOFTMAX.match(alias) for alias in weight.aliases)


def work_of_texts(
    weights: Weights, counts: Tensor, texts: int, kept: Mapping[str, Tensor] | None = None
) -> float | None:
    """The multiply-adds of an average text, for a classifier that averages its words' rows.

    Each number in a word's row is multiplied (by one over the number of words) and added once for
    each time the word occurs, so that a row counts by its frequency; each number in a
    classification head is once a text. None where the network has other matrices.

    Args:
        counts: (tokens,) how often each token is in the texts, without padding.
        texts: how many texts these are.
        kept: by name, which elements are worked with; None for all.
    """
    total = 0.0
    for name, weight in weights.items():
        each = torch.ones_like(weight.tensor) if kept is None else kept[name]
        if is_embedding(name):
            total += float(each.sum(dim=1).double() @ counts.double())
        elif _HEAD.match(name):
            total += texts * float(each.sum())
        else:
            return None
    return total / texts
