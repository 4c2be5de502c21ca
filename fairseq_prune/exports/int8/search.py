"""fairseq's beam search, given only the words that it can choose from.

Of all words, it takes the 2 x beam best that continue a sentence's hypotheses, and these are among
the 2 x beam best of each hypothesis. So it gets those, and the special symbols, which it treats by
number: it computes what it always does, on about twenty columns in place of ten thousand.
"""

from typing import Any

import torch
from fairseq.search import BeamSearch
from fairseq.sequence_generator import EnsembleModel, SequenceGenerator
from torch import Tensor

from fairseq_prune.exports.int8.lists import WordLists

_RUN = 64  # words, of which only the best one is looked at first
_ROWS = 64  # hypotheses computed at a time: the memory for all of ten thousand words costs time


def narrowed(generator: Any, lists: WordLists | None = None) -> Any:
    """A generator of fairseq's, changed to choose from few words where it searches by beams alone.

    Translations and scores stay the same, to the last bit, but where two candidates have the same
    score: which one ``torch.topk`` puts first then, nothing says.

    Args:
        generator: for one model, which has to be an
            :class:`~fairseq_prune.exports.int8.network.Int8LSTM`.
        lists: a lexical shortlist; None for all words.
    """
    if (
        type(generator) is not SequenceGenerator
        or type(generator.search) is not BeamSearch
        or generator.model.models_size != 1
        or generator.lm_model is not None
        or generator.repeat_ngram_blocker is not None
        or generator.token_indices_to_suppress is not None
    ):
        return generator
    specials = max(generator.pad, generator.unk, generator.eos) + 1
    best = min(2 * generator.beam_size, generator.vocab_size - specials)
    model = _Narrow(generator.model.single_model, specials, best, lists)
    generator.model, generator.search = model, _Search(generator.tgt_dict, model)
    generator.vocab_size = specials + best
    generator._prefix_tokens = _no_prefix
    # fairseq's no_grad keeps count of changes in place all the same: a tenth of a step's time
    generator._generate = torch.inference_mode()(generator._generate)
    return generator


class _Narrow(EnsembleModel):
    """A model, of whose words only some are left.

    Args:
        specials: how many of the first words are.
        best: how many of the others.
        lists: from which a batch takes its words; None for all.
    """

    def __init__(self, model: Any, specials: int, best: int, lists: WordLists | None) -> None:
        super().__init__([model])
        self._lists = lists
        self._specials, self._best = specials, best
        self._first = torch.arange(specials)
        self.words = torch.empty(0, dtype=torch.long)  # that the columns stand for, (rows, columns)

    def forward_encoder(self, net_input: Any) -> Any:
        """What the encoder gives, with the softmax over the words of the sentences' lists."""
        (memory,) = super().forward_encoder(net_input)
        if self._lists is None:
            return [memory]
        words = self._lists.words_for(net_input["src_tokens"], self._specials + self._best)
        return [memory._replace(few=self.single_model.decoder.few(words))]

    def forward_decoder(
        self, tokens: Tensor, encoder_outs: Any, incremental_states: Any, temperature: float = 1.0
    ) -> tuple[Tensor, None]:
        """Log-probabilities (rows, columns) of the next word, in columns for some of all words."""
        decoder, few = self.single_model.decoder, encoder_outs[0].few
        features = decoder.features(tokens, encoder_outs[0], incremental_states[0])[:, -1]
        parts = [
            self._of_rows(decoder.logits(rows, few), temperature)
            for rows in features.tensor_split(-(-len(features) // _ROWS))
        ]
        found, words = parts[0]
        if len(parts) > 1:
            found, words = (torch.cat(part) for part in zip(*parts, strict=True))
        self.words = words if few is None else few.words[words]
        return found, None

    def _of_rows(self, logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        logits = logits if temperature == 1.0 else logits.div_(temperature)
        whole = logits.log_softmax(dim=1)
        values, words = largest(whole[:, self._specials :], self._best)
        first = self._first.expand(len(whole), -1)
        values = torch.cat((whole[:, : self._specials], values), dim=1)
        return values, torch.cat((first, words + self._specials), dim=1)


class _Search(BeamSearch):
    """Beam search over a model's columns, which says what words they stand for."""

    def __init__(self, dictionary: Any, model: _Narrow) -> None:
        super().__init__(dictionary)
        self.__dict__["_model"] = model  # not as a module of this one

    def step(self, step: int, lprobs: Tensor, *more: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, words and beams, (sentences, 2 x beam)."""
        scores, columns, beams = super().step(step, lprobs, *more)
        first = torch.arange(len(beams))[:, None] * lprobs.shape[1]
        return scores, self._model.words[beams + first, columns], beams


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of each row, (rows, count), and where they are, as ``torch.topk`` gives them.

    They are looked for in the runs of neighbours whose largest ones are largest, which takes half
    of the time.
    """
    runs = values.shape[1] // _RUN
    if runs <= 4 * count:
        return values.topk(count, dim=1)
    inside = values[:, : runs * _RUN]
    top = inside.unflatten(1, (runs, _RUN)).amax(dim=2).topk(count, dim=1, sorted=False).indices
    places = (top[:, :, None] * _RUN + torch.arange(_RUN)).flatten(1)
    left = torch.arange(runs * _RUN, values.shape[1]).expand(len(values), -1)
    places = torch.cat((places, left), dim=1)
    found, order = values.gather(1, places).topk(count, dim=1)
    return found, places.gather(1, order)


def _no_prefix(*_: Any) -> None:
    raise ValueError("A prefix cannot be forced on a narrowed search.")
