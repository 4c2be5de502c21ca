"""Decoding with fairseq's own task and generator, many checkpoints in one process.

What happens is what ``fairseq-generate`` and ``fairseq-validate`` do, step by step, with their
defaults: their argument parsers build the configuration. Only the start-up is shared.
"""

import glob
import math
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils, options, tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from fairseq_prune import models
from fairseq_prune.analysis.sentences import Sentence
from fairseq_prune.analysis.settings import Settings
from fairseq_prune.pruning.refusal import reason_of
from fairseq_prune.pruning.stored import check_stored, check_tokens


@dataclass(frozen=True)
class Translations:
    """What one model made of a subset, in the order of the sentences.

    Args:
        hypotheses: the best hypothesis of each sentence, subwords joined.
        sentences: sources, and the references as the data set has them ("" without targets).
    """

    hypotheses: list[str]
    sentences: list[Sentence]

    @property
    def targets(self) -> list[str]:
        """The references."""
        return [sentence.reference for sentence in self.sentences]


class Decoder:
    """Translates with one checkpoint after another, over one data set.

    Args:
        settings: what and how.

    Raises ValueError where fairseq cannot open the data.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cfg = convert_namespace_to_omegaconf(_arguments(settings))
        models.register()  # shrunk checkpoints need no --user-dir here
        utils.import_user_module(self.cfg.common)
        if self.cfg.dataset.max_tokens is None and self.cfg.dataset.batch_size is None:
            self.cfg.dataset.max_tokens = 12000  # fairseq-generate's own default
        self.cuda = torch.cuda.is_available() and not settings.cpu
        try:
            self.task: Any = tasks.setup_task(self.cfg.task)
        except Exception as error:
            raise ValueError(
                f"fairseq cannot use --data {settings.data}: {reason_of(error)}."
            ) from None
        self.model: Any = None
        self.saved: Any = None

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target, as fairseq found them; English where its task has none."""
        found = (getattr(self.task.cfg, f"{side}_lang", None) for side in ("source", "target"))
        source, target = (language or "en" for language in found)
        return source, target

    def open(self, checkpoint: str) -> None:
        """Load a checkpoint; it is the model that the other methods use."""
        try:
            loaded, self.saved = checkpoint_utils.load_model_ensemble([checkpoint], task=self.task)
        except Exception as error:
            raise ValueError(f"fairseq cannot load {checkpoint}: {reason_of(error)}.") from None
        self.model = loaded[0]
        if self.cuda:
            self.model.cuda()

    def translate(self, subset: str) -> Translations:
        """Decode ``subset``."""
        self._load(subset)
        self.model.prepare_for_inference_(self.cfg)
        generator = self.task.build_generator([self.model], self.cfg.generation)
        stripped = getattr(generator, "symbols_to_strip_from_output", {generator.eos})
        hypotheses: dict[int, str] = {}
        sentences: dict[int, Sentence] = {}
        for sample in self._batches(subset):
            found = self.task.inference_step(generator, [self.model], sample)
            for row, number in enumerate(sample["id"].tolist()):
                hypotheses[number] = self._text(found[row][0]["tokens"], stripped)
                sentences[number] = self._sentence(sample, row, stripped)
        order = sorted(hypotheses)
        return Translations([hypotheses[n] for n in order], [sentences[n] for n in order])

    def _sentence(self, sample: Any, row: int, stripped: set[int]) -> Sentence:
        words, read = self.task.target_dictionary, self.task.source_dictionary
        source = utils.strip_pad(sample["net_input"]["src_tokens"][row], read.pad())
        source = source[source != read.eos()].int().cpu()
        text = read.string(source, self.cfg.common_eval.post_process)
        if sample["target"] is None:
            return Sentence(text, "", len(source), None)
        target = utils.strip_pad(sample["target"][row], words.pad())
        kinds = set(target.tolist()) - stripped
        counts = (0 if n == words.unk() else int(words.count[n]) for n in kinds)
        reference = self._text(target, stripped, escape_unk=True)
        return Sentence(text, reference, len(source), min(counts, default=None))

    def nll(self, subset: str) -> float:
        """Bits a target token of ``subset`` costs, by the criterion the model was trained with.

        nan where that criterion does not count tokens, or where there are no targets.
        """
        self._load(subset, combine=False, epoch=1)
        criterion = self.task.build_criterion(self.saved.criterion)
        criterion.eval()
        self.model.eval()
        nats, tokens = 0.0, 0
        for sample in self._batches(subset):
            if sample["target"] is None:
                return math.nan
            with torch.no_grad():
                log = self.task.valid_step(sample, self.model, criterion)[2]
            nats += float(log.get("nll_loss", log.get("loss", math.nan)))
            tokens += int(log.get("ntokens", 0))
        return nats / tokens / math.log(2) if tokens else math.nan

    def _load(self, subset: str, **how: Any) -> None:
        folder = Path(self.settings.data)
        for path in sorted(folder.glob(f"{glob.escape(subset)}.*.idx")):
            check_stored(path.with_suffix(""))
        try:
            self.task.load_dataset(subset, task_cfg=self.saved.task, **how)
        except Exception as error:  # fairseq asserts
            raise ValueError(
                f"fairseq cannot read {subset} of {folder}: {reason_of(error)}."
            ) from None

    def _check(self, sample: Any) -> None:
        """Raise ValueError where a batch has a token that is in no dictionary."""
        sides = ((sample["net_input"]["src_tokens"], "source"), (sample["target"], "target"))
        for tokens, side in sides:
            if tokens is not None:
                size = len(getattr(self.task, f"{side}_dictionary"))
                check_tokens(tokens, size, f"the {side} side of --data {self.settings.data}")

    def _batches(self, subset: str) -> Iterator[Any]:
        data = self.cfg.dataset
        try:
            batches = self.task.get_batch_iterator(
                dataset=self.task.dataset(subset),
                max_tokens=data.max_tokens,
                max_sentences=data.batch_size,
                max_positions=utils.resolve_max_positions(
                    self.task.max_positions(), self.model.max_positions()
                ),
                ignore_invalid_inputs=data.skip_invalid_size_inputs_valid_test,
                required_batch_size_multiple=data.required_batch_size_multiple,
                seed=self.cfg.common.seed,
                num_workers=0,
            ).next_epoch_itr(shuffle=False)
        except Exception as error:  # fairseq raises Exception itself
            raise ValueError(f"fairseq cannot batch {subset}: {reason_of(error)}.") from None
        for sample in batches:
            if "net_input" in sample:
                self._check(sample)
                yield utils.move_to_cuda(sample) if self.cuda else sample

    def _text(self, tokens: torch.Tensor, stripped: set[int], escape_unk: bool = False) -> str:
        text: str = self.task.target_dictionary.string(
            tokens.int().cpu(),
            self.cfg.common_eval.post_process,
            escape_unk=escape_unk,
            extra_symbols_to_ignore=stripped,
        )
        return text


def _arguments(settings: Settings) -> Any:
    parser: ArgumentParser = options.get_generation_parser()
    flags: Sequence[str] = settings.fairseq_flags()
    return options.parse_args_and_arch(parser, input_args=list(flags))
