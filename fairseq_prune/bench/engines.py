"""Programs that translate with a model: fairseq's search over its models, and CTranslate2."""

import contextlib
import sys
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

from fairseq import utils

from fairseq_prune.bench.batches import Batch, Lengths
from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.decode_folder import FolderDecoder
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.texts import Texts, texts_of
from fairseq_prune.exports.forms import read_folder


class Engine(Protocol):
    """A model of one test set in a program that translates it."""

    most: int
    """Tokens that a translation can have, its end included."""

    refines: bool
    """Whether it refines whole sentences: it has no beam, and its steps are no tokens."""

    def lengths(self, count: int) -> Lengths:
        """Those of the first ``count`` sentences."""

    def translate(self, batch: Batch, beam: int) -> int:
        """Translate it; gives how many tokens came out, ends of sentences included."""

    def texts(self, beam: int) -> Texts:
        """All of the test set translated, each sentence to its own end, as ``evaluate`` does."""


class ByFairseq:
    """fairseq's task and its search, over the models that a decoder opens.

    Args:
        decoder: which may open anything that fairseq's generators take as a model.
        path: of what it opens.

    Raises ValueError where that does not translate, or between which languages is open.
    """

    def __init__(self, decoder: Decoder, path: str) -> None:
        self._decoder = decoder
        decoder.open(path)
        if not decoder.translates:
            raise ValueError(f"{path} has no speed of translation: {decoder.why_no_bleu}.")
        self._task, self.models = decoder.task, decoder.translators
        self._data = _prepared(decoder)
        self._generators: dict[int, Any] = {}
        self.refines = bool(decoder.own.refines)
        self.most = sys.maxsize if self.refines else self._generator(1).max_len

    def lengths(self, count: int) -> Lengths:
        """Those of the first ``count`` sentences."""
        return _lengths(self._task, self._data, count)

    def translate(self, batch: Batch, beam: int) -> int:
        """As ``fairseq-generate`` does; with steps, the shortest length is the longest one too."""
        generator = self._generator(beam)
        if batch.steps is not None:  # the last one is the end, which fairseq does not count
            generator.max_len_a, generator.max_len_b = 0, batch.steps - 1
            generator.min_len = batch.steps - 1
        elif not self.refines:
            how = self._decoder.cfg.generation
            generator.max_len_a, generator.max_len_b = how.max_len_a, how.max_len_b
            generator.min_len = how.min_len
        sample = self._data.collater([self._data[number] for number in batch.numbers])
        found = self._task.inference_step(generator, self.models, sample)
        return sum(len(hypotheses[0]["tokens"]) for hypotheses in found)

    def _generator(self, beam: int) -> Any:
        if beam not in self._generators:
            self._generators[beam] = self._decoder.generator(beam)
        return self._generators[beam]

    def texts(self, beam: int) -> Texts:
        """All of the test set translated, each sentence to its own end."""
        decoder = self._decoder
        decoder.cfg.generation.beam = beam
        made = decoder.translate(decoder.settings.gen_subset)
        return texts_of(decoder.settings, made, decoder.languages)


class ByCTranslate2:
    """A folder of CTranslate2's, in this process.

    Raises ValueError where the folder and the data do not go together.
    """

    refines = False

    def __init__(self, folder: str, settings: Settings, threads: int) -> None:
        self._folder, self._settings, self._threads = folder, settings, threads
        made = read_folder(folder)
        self.most, self._shortlist = made.positions[1], made.has_shortlist
        with contextlib.closing(FolderDecoder(settings)) as decoder:
            decoder.open(folder)
            self._task, self._data = decoder.task, _prepared(decoder)
        symbols = self._task.source_dictionary.symbols
        self.sentences = [  # tokens, without their ends
            [symbols[int(token)] for token in self._data[number]["source"][:-1]]
            for number in range(len(self._data))
        ]

    @cached_property
    def _translator(self) -> Any:
        import ctranslate2

        return ctranslate2.Translator(
            self._folder, device="cpu", inter_threads=1, intra_threads=self._threads
        )

    def lengths(self, count: int) -> Lengths:
        """Those of the first ``count`` sentences."""
        return _lengths(self._task, self._data, count)

    def translate(self, batch: Batch, beam: int) -> int:
        """The same search, the same limits on the length; with steps, no end is among the tokens,
        and the last step is one more token in its place."""
        found = self._translator.translate_batch(
            [self.sentences[number] for number in batch.numbers],
            beam_size=beam, max_input_length=0, use_vmap=self._shortlist, **self.limits(batch),
        )  # fmt: skip
        ends = 0 if batch.steps else len(batch.numbers)
        return sum(len(result.hypotheses[0]) for result in found) + ends

    def limits(self, batch: Batch) -> dict[str, int]:
        """On the length of a batch's translations, as CTranslate2 takes them."""
        if batch.steps is not None:
            return {"min_decoding_length": batch.steps, "max_decoding_length": batch.steps}
        how = self._settings
        longest = 1 + max(len(self.sentences[number]) for number in batch.numbers)
        most = min(int(how.max_len_a * longest + how.max_len_b), self.most - 1)
        return {"min_decoding_length": 1, "max_decoding_length": most}

    def texts(self, beam: int) -> Texts:
        """All of the test set translated, each sentence to its own end."""
        settings = replace(self._settings, beam=beam)
        with contextlib.closing(FolderDecoder(settings)) as decoder:
            decoder.open(self._folder)
            made = decoder.translate(settings.gen_subset)
            return texts_of(settings, made, decoder.languages)


def _prepared(decoder: Decoder) -> Any:
    """The test set."""
    data = decoder.prepare(decoder.settings.gen_subset)
    data.ordered_indices()  # data of several pairs have no sentences before
    return data


def _lengths(task: Any, data: Any, count: int) -> Lengths:
    samples = [data.collater([data[number]]) for number in range(min(count, len(data)))]
    read, words = task.source_dictionary.pad(), task.target_dictionary.pad()
    source = [len(utils.strip_pad(s["net_input"]["src_tokens"][0], read)) for s in samples]
    if any(sample["target"] is None for sample in samples):
        return Lengths(source)
    return Lengths(source, [len(utils.strip_pad(s["target"][0], words)) for s in samples])
