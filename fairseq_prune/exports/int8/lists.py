"""A lexical shortlist as an exported folder in 8 bits holds it, and a sentence's words from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fairseq_prune.data.dictionary import SPECIALS
from fairseq_prune.exports.shortlist import Shortlist

_NAMES = ("words", "ends", "always")


@dataclass(frozen=True)
class WordLists:
    """The target words that may translate each source word.

    Args:
        words: the candidates of all source words, one after the other.
        ends: where those of each source word end, (source words,).
        always: what every sentence has, the special symbols apart.
        size: how many words the target's dictionary has.
    """

    words: Tensor
    ends: Tensor
    always: Tensor
    size: int

    def words_for(self, tokens: Tensor, least: int) -> Tensor:
        """The words for all sentences of a batch, special symbols first, their numbers rising.

        Args:
            tokens: of the sources, (sentences, tokens).
            least: how many at least: where the lists have fewer, the first of the dictionary too.
        """
        chosen = torch.zeros(self.size, dtype=torch.bool)
        chosen[: len(SPECIALS)] = True
        chosen[self.always] = True
        for token in tokens.unique().tolist():
            start = int(self.ends[token - 1]) if token else 0
            chosen[self.words[start : int(self.ends[token])]] = True
        if int(chosen.sum()) < least:
            chosen[:least] = True
        return chosen.nonzero().flatten()


def lists_in(tensors: Mapping[str, Tensor], sizes: tuple[int, int]) -> WordLists:
    """The lists of which :func:`tensors_of` made these tensors.

    Args:
        sizes: of the dictionaries of source and target.

    Raises ValueError where it is none for these.
    """
    if set(tensors) != {*_NAMES} or any(one.dim() != 1 for one in tensors.values()):
        raise ValueError("its shortlist has other tensors than these: words, ends and always")
    words, ends, always = (tensors[name].long() for name in _NAMES)
    bounds = torch.cat((torch.zeros(1, dtype=torch.long), ends, torch.tensor([len(words)])))
    if len(ends) != sizes[0] or bool((bounds.diff() < 0).any()) or bounds[-2] != len(words):
        raise ValueError("its shortlist is of another dictionary")
    every = torch.cat((words, always))
    if len(every) and not 0 <= int(every.min()) <= int(every.max()) < sizes[1]:
        raise ValueError("its shortlist has words that its dictionary has not")
    return WordLists(words, ends, always, sizes[1])


def tensors_of(shortlist: Shortlist) -> dict[str, Tensor]:
    """A shortlist that was learnt, for a file of safetensors."""
    words = np.concatenate([np.empty(0, np.int64), *shortlist.words])
    ends = np.cumsum([len(one) for one in shortlist.words])
    values = zip(_NAMES, (words, ends, shortlist.always), strict=True)
    return {name: torch.from_numpy(value.astype(np.int32)) for name, value in values}
