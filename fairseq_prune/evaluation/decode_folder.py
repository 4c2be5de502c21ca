"""Decoding with CTranslate2: data, batches and texts are fairseq's, and so are the search settings.

fairseq makes the batches, so both programs translate the same ones with the same limits of length.
What CTranslate2's search does otherwise: it may choose ``<pad>``, which no trained model does, and
a translation that is cut at the longest length does not end with a forced ``</s>``.
"""

import copy
import math
from argparse import Namespace
from dataclasses import replace
from typing import Any

import torch
from fairseq import tasks, utils

from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports.folder import Folder
from fairseq_prune.exports.forms import read_folder, task_of
from fairseq_prune.exports.translator import Translator
from fairseq_prune.pruning.refusal import reason_of
from fairseq_prune.tasks.loaded import Loaded


class FolderDecoder(Decoder):
    """Translates and scores with one folder of CTranslate2 after another.

    Args:
        settings: what and how, as of :class:`~fairseq_prune.evaluation.decode.Decoder`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._folder: Any = None
        self._translator: Any = None

    def close(self) -> None:
        """End CTranslate2's process."""
        super().close()
        if self._translator is not None:
            self._translator.close()
        self._translator = None

    def open(self, checkpoint: str) -> None:
        """Load a folder; it is what the other methods use.

        Raises ValueError where it, the data and the settings do not go together.
        """
        self.own = task_of(checkpoint, self.settings.model_overrides)
        self.settings.check_task(self.own, "fairseq_prune")
        self.close()
        self._folder = read_folder(checkpoint)
        config, task = task_for(self._folder, self.cfg.task, self.settings)
        self._translator = self._start()
        model = _Model(self._folder)
        self._scoring = self._translating = Loaded([model], Namespace(task=config), task)
        self._check_languages()

    def _start(self) -> Translator:
        folder, threads = self._folder, torch.get_num_threads()
        return Translator(folder.path, self.cuda, threads, folder.has_shortlist)

    def generator(self, beam: int | None = None) -> "_Generator":
        settings = self.settings if beam is None else replace(self.settings, beam=beam)
        return _Generator(self._translator, self._folder, self.task, settings)

    def _reset_peak(self) -> None:
        self._translator.reset_peak()

    def _peak(self) -> int | None:
        peak: int | None = self._translator.peak()
        return peak

    @property
    def engine(self) -> dict[str, Any]:
        """What a row of results says of the program that translates."""
        translator = self._translator
        return {
            "engine": f"CTranslate2 {translator.version}", "device": translator.device,
            "threads": torch.get_num_threads(), "compute_type": translator.compute_type,
            "memory_of": "a process with CTranslate2 alone",
        }  # fmt: skip

    def nll(self, subset: str) -> float:
        """Bits a token of ``subset`` costs, its end included; nan where there are no targets."""
        bits, count = 0.0, 0
        self._load(subset, self._scoring, combine=False, epoch=1)
        with self._start() as translator:  # the other one's peak of memory is of translating
            for sample in self._batches(subset, self._scoring):
                if sample["target"] is None:
                    return math.nan
                targets = sample["target"]
                found = translator.score(
                    _words(sample["net_input"]["src_tokens"], self.task.source_dictionary),
                    _words(targets, self.task.target_dictionary),
                )
                bits -= sum(map(math.fsum, found)) / math.log(2)
                count += sum(map(len, found))
        return bits / count if count else math.nan


def task_for(folder: Folder, task: Any, settings: Settings) -> tuple[Any, Any]:
    """The configuration and the task under which an exported folder translates the data.

    Args:
        task: fairseq's configuration of a task, of which the languages are open.

    Raises ValueError where the data cannot be read, or have other dictionaries than the folder.
    """
    config = copy.deepcopy(task)
    config.dataset_impl = settings.dataset_impl
    config.source_lang, config.target_lang = folder.check_data(settings.given())
    try:
        return config, tasks.setup_task(config)
    except Exception as error:
        raise ValueError(
            f"fairseq cannot use --data {settings.data}: {reason_of(error)}."
        ) from None


def _words(tokens: torch.Tensor, dictionary: Any) -> list[list[str]]:
    """The words of each row of (B, T), without padding and ends of sentences."""
    rows = (utils.strip_pad(row, dictionary.pad()).tolist() for row in tokens)
    return [[dictionary.symbols[n] for n in row if n != dictionary.eos()] for row in rows]


class _Model:
    """What fairseq asks of a model before it makes batches for it."""

    def __init__(self, folder: Folder) -> None:
        self._positions = folder.positions

    def max_positions(self) -> tuple[int, int]:
        return self._positions

    def prepare_for_inference_(self, cfg: Any) -> None:
        pass


# CTranslate2 ends a search without a length penalty before fairseq does, and sometimes too early
# (3 of 500 translations, beam 3); this one divides by 1 in float32, and lets the search go on
_NO_PENALTY = 1e-9


def best_of(
    translator: Translator, folder: Folder, settings: Settings, sources: list[list[str]]
) -> list[list[str]]:
    """The best translation of each sentence of a batch, its end left out.

    Args:
        sources: tokens without ends of sentences; the longest decides how long a translation of
            the batch may be, as in fairseq.
    """
    width = 1 + max(map(len, sources))
    most = min(int(settings.max_len_a * width + settings.max_len_b), folder.positions[1] - 1)
    return translator.translate(sources, settings.beam, most, settings.lenpen or _NO_PENALTY)


class _Generator:
    """In place of fairseq's generator."""

    def __init__(
        self, translator: Translator, folder: Folder, task: Any, settings: Settings
    ) -> None:
        self._translator, self._folder = translator, folder
        self._task, self._settings = task, settings
        self.eos = task.target_dictionary.eos()

    def generate(self, models: Any, sample: Any, **_: Any) -> list[list[dict[str, torch.Tensor]]]:
        """The best hypothesis of each sentence of a batch, as fairseq's generators give it."""
        source = _words(sample["net_input"]["src_tokens"], self._task.source_dictionary)
        found = best_of(self._translator, self._folder, self._settings, source)
        index = self._task.target_dictionary.index
        tokens = ([*map(index, words), self.eos] for words in found)
        return [[{"tokens": torch.tensor(row)}] for row in tokens]
