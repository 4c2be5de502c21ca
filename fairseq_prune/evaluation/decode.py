"""Decoding with fairseq's own task and generator, many checkpoints in one process.

What happens is what ``fairseq-generate`` and ``fairseq-validate`` do, step by step, with their
defaults: their argument parsers build the configuration. Only the start-up is shared.
"""

import copy
import glob
import math
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from fairseq import options, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.tasks.multilingual_translation import MultilingualTranslationTask
from fairseq.tasks.translation import TranslationTask
from fairseq.tasks.translation_multi_simple_epoch import TranslationMultiSimpleEpochTask

from fairseq_prune import models
from fairseq_prune.data.binarised_check import check_stored
from fairseq_prune.data.samples import check_sample, parts_of
from fairseq_prune.evaluation.perplexity import bits_of, drawing
from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.files.memory import peak_resident, reset_peak
from fairseq_prune.pruning.refusal import reason_of
from fairseq_prune.tasks.loaded import (
    DataProblem,
    Loaded,
    load,
)
from fairseq_prune.tasks.opening import import_plugin
from fairseq_prune.tasks.own import (
    A_MODEL_A_PAIR,
    OwnTask,
    folders_of,
    members_of,
    overrides_of,
    read_task,
)


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
    """Translates and scores with one checkpoint after another, each under its own task.

    Args:
        settings: what and how; of the task, what they say overrides what the checkpoint says.

    ``tell`` may be set: it is called with each batch that is begun.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        models.register()  # shrunk checkpoints need no --user-dir here
        import_plugin(settings.user_dir)
        self.cfg = convert_namespace_to_omegaconf(_arguments(settings))
        if self.cfg.dataset.max_tokens is None and self.cfg.dataset.batch_size is None:
            self.cfg.dataset.max_tokens = 12000  # fairseq-generate's own default
        self.cuda = torch.cuda.is_available() and not settings.cpu
        self.own: Any = None
        self._scoring: Any = None
        self._translating: Any = None
        self.tell: Callable[[str], None] = lambda _: None

    def close(self) -> None:
        """Let go of what is open."""
        self._scoring = self._translating = None

    @property
    def model(self) -> Any:
        """The model that perplexity is of; None before :meth:`open`."""
        return None if self._scoring is None else self._scoring.models[0]

    @property
    def task(self) -> Any:
        """The task that translates, or else the one that gives perplexity."""
        return (self._translating or self._scoring).task

    @property
    def live(self) -> list[Any]:
        """All live models, each once: one, those of an ensemble, or one for each purpose."""
        opened = filter(None, (self._scoring, self._translating))
        both = [model for loaded in opened for model in loaded.models]
        return list({id(model): model for model in both}.values())

    @property
    def translators(self) -> list[Any]:
        """The live models that translate together."""
        return list(self._translating.models)

    @property
    def translates(self) -> bool:
        """Whether the open checkpoint can translate, and between which languages is known."""
        return self._translating is not None

    @property
    def why_no_bleu(self) -> str:
        """Why the open checkpoint has no translations, where it has none."""
        if self.own.pairs and self.own.translates:
            pairs = ", ".join(self.own.pairs)
            return f"of several language pairs ({pairs}); name one with -s and -t"
        return f"task {self.own.name}, which has perplexity only"

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target, as fairseq found them; English where its task has none."""
        config = _config(self.task)
        found = (getattr(config, f"{side}_lang", None) for side in ("source", "target"))
        source, target = (language or "en" for language in found)
        return source, target

    def open(self, checkpoint: str) -> None:
        """Load a checkpoint, or an ensemble; it is what the other methods use.

        Raises ValueError where fairseq cannot open the data or the checkpoint, or commands that
        write text do not take its task.
        """
        given = self.settings.given()
        self.own = own = read_task(checkpoint, given.model_overrides)
        self.settings.check_task(own, "fairseq_prune")
        pair = own.pair(given)
        per_pair = own.name in A_MODEL_A_PAIR
        self.close()  # memory, before the next ones are made
        self._scoring = self._load_models(own, None if per_pair else pair)
        if not (own.translates and _is_translation(self._scoring.task)):
            return
        self._check_languages()
        if not own.pairs or pair is not None:
            self._translating = self._load_models(own, pair) if per_pair else self._scoring
        if per_pair and pair is not None:  # fairseq-validate cannot take one pair of several
            only = ["-".join(pair)]
            self._scoring.task.lang_pairs = self._scoring.task.eval_lang_pairs = only

    def _check_languages(self) -> None:
        """Raise ValueError where fairseq went by the data's names, and not by a flag."""
        for side in ("source_lang", "target_lang"):
            asked = getattr(self.settings, side)
            found = getattr(_config(self._scoring.task), side, None)
            if None not in (asked, found) and asked != found:
                raise ValueError(
                    f"--data {self.settings.data} is of {found}, as its files' names say, where "
                    f"--{side.replace('_', '-')} is {asked}; give the other language too."
                )

    def _load_models(self, own: OwnTask, pair: tuple[str, str] | None) -> Loaded:
        given = self.settings.given()
        try:
            loaded = load(members_of(own.path), overrides_of(own, given, pair))
        except DataProblem as error:
            raise ValueError(
                f"fairseq cannot use --data {given.data}: {reason_of(error)}."
            ) from None
        except Exception as error:
            raise ValueError(f"fairseq cannot load {own.path}: {reason_of(error)}.") from None
        if self.cuda:
            for model in loaded.models:
                model.cuda()
        return loaded

    def translate(self, subset: str) -> Translations:
        """Decode ``subset``."""
        task, translators = self.task, self.translators
        self.prepare(subset)
        generator = self.generator()
        stripped = getattr(generator, "symbols_to_strip_from_output", {generator.eos})
        hypotheses: dict[int, str] = {}
        sentences: dict[int, Sentence] = {}
        for sample in self._batches(subset, self._translating):
            found = task.inference_step(generator, translators, sample)
            for row, number in enumerate(sample["id"].tolist()):
                hypotheses[number] = self._text(found[row][0]["tokens"], stripped)
                sentences[number] = self._sentence(sample, row, stripped)
        order = sorted(hypotheses)
        return Translations([hypotheses[n] for n in order], [sentences[n] for n in order])

    def generator(self, beam: int | None = None) -> Any:
        """fairseq's search with the models that are open, with the settings' beam or this one."""
        config = self.cfg.generation
        if beam is not None:
            config = copy.deepcopy(config)
            config.beam = beam
        return self.task.build_generator(self.translators, config)

    @contextmanager
    def watched(self) -> Iterator[dict[str, Any]]:
        """Fills in, at its end, the ``seconds`` that passed and the peak of memory meanwhile.

        ``memory_bytes`` is what the process that translates held at most, model, programs and
        libraries included; None where the system does not say it.
        """
        spent: dict[str, Any] = {}
        self._reset_peak()
        begun = time.perf_counter()
        yield spent
        spent.update(seconds=time.perf_counter() - begun, memory_bytes=self._peak())

    def _reset_peak(self) -> None:
        reset_peak()

    def _peak(self) -> int | None:
        return peak_resident()

    @property
    def engine(self) -> dict[str, Any]:
        """What a row of results says of the program that translates."""
        return {
            "engine": "fairseq", "device": "cuda" if self.cuda else "cpu",
            "threads": torch.get_num_threads(), "memory_of": "a process with torch and fairseq",
        }  # fmt: skip

    def prepare(self, subset: str) -> Any:
        """The data set that ``subset`` is; the models are ready for translating it."""
        data = self._load(subset, self._translating)
        for model in self.translators:
            model.prepare_for_inference_(self.cfg)
        return data

    def _sentence(self, sample: Any, row: int, stripped: set[int]) -> Sentence:
        words, read = self.task.target_dictionary, self.task.source_dictionary
        source = utils.strip_pad(sample["net_input"]["src_tokens"][row], read.pad()).int().cpu()
        added = torch.tensor([read.eos(), *_tags(self.task, read)])
        source = source[~torch.isin(source, added)]
        source = source[1:] if source[:1].tolist() == [read.bos()] else source
        text = read.string(source, self.cfg.common_eval.post_process)
        if sample["target"] is None:
            return Sentence(text, "", len(source), None)
        target = utils.strip_pad(sample["target"][row], words.pad())
        kinds = set(target.tolist()) - stripped - {words.bos(), words.eos()}
        counts = (0 if n == words.unk() else int(words.count[n]) for n in kinds)
        reference = self._text(target, stripped, escape_unk=True)
        return Sentence(text, reference, len(source), min(counts, default=None))

    def nll(self, subset: str) -> float:
        """Bits a token of ``subset`` costs, by the criterion the model was trained with.

        They are those of ``fairseq-validate``; noise that a task draws, which it does not seed, is
        the same at each asking here. nan where that criterion gives no perplexity, where there are
        no targets, and of an ensemble, whose models have one each.
        """
        if len(self._scoring.models) > 1:
            return math.nan
        task, model = self._scoring.task, self.model
        with drawing(self.cfg.common.seed):
            self._load(subset, self._scoring, combine=False, epoch=1)
            criterion = task.build_criterion(self._scoring.saved.criterion)
            criterion.eval()
            model.eval()
            logs = []
            for sample in self._batches(subset, self._scoring):
                if any(part.get("target", part) is None for _, part in parts_of(sample)):
                    return math.nan
                with torch.no_grad():
                    logs.append(task.valid_step(sample, model, criterion)[2])
        return bits_of(logs, task, criterion) if logs else math.nan

    def _load(self, subset: str, loaded: Loaded, **how: Any) -> Any:
        folder = folders_of(self.settings.data)[0]
        for path in sorted(folder.glob(f"{glob.escape(subset)}.*idx")):
            check_stored(path.with_suffix(""))
        # anew: iterators that are kept for a data set go on with its next epoch, and its noise
        loaded.task.dataset_to_epoch_iter.pop(loaded.task.datasets.pop(subset, None), None)
        try:
            loaded.task.load_dataset(subset, task_cfg=loaded.saved.task, **how)
            return loaded.task.dataset(subset)
        except Exception as error:  # fairseq asserts
            raise ValueError(
                f"fairseq cannot read {subset} of {folder}: {reason_of(error)}."
            ) from None

    def _batches(self, subset: str, loaded: Loaded) -> Iterator[Any]:
        data, task = self.cfg.dataset, loaded.task
        try:
            batches = task.get_batch_iterator(
                dataset=task.dataset(subset),
                max_tokens=data.max_tokens,
                max_sentences=data.batch_size,
                max_positions=utils.resolve_max_positions(
                    task.max_positions(), *[m.max_positions() for m in loaded.models]
                ),
                ignore_invalid_inputs=data.skip_invalid_size_inputs_valid_test,
                required_batch_size_multiple=data.required_batch_size_multiple,
                seed=self.cfg.common.seed,
                num_workers=0,
            ).next_epoch_itr(shuffle=False)
        except Exception as error:  # fairseq raises Exception itself
            raise ValueError(f"fairseq cannot batch {subset}: {reason_of(error)}.") from None
        for number, sample in enumerate(batches, 1):
            self.tell(f"{subset}, batch {number} of {len(batches)}")
            if parts_of(sample):
                check_sample(sample, task, self.settings.data)
                yield utils.move_to_cuda(sample) if self.cuda else sample

    def _text(self, tokens: torch.Tensor, stripped: set[int], escape_unk: bool = False) -> str:
        text: str = self.task.target_dictionary.string(
            tokens.int().cpu(),
            self.cfg.common_eval.post_process,
            escape_unk=escape_unk,
            extra_symbols_to_ignore=stripped,
        )
        return text


def _is_translation(task: Any) -> bool:
    """Whether a task's samples are sentences and their translations."""
    kinds = (TranslationTask, TranslationMultiSimpleEpochTask, MultilingualTranslationTask)
    return isinstance(task, kinds)


def _config(task: Any) -> Any:
    """A task's settings, wherever its generation of fairseq keeps them."""
    return task.cfg if task.cfg is not None else task.args


def _tags(task: Any, dictionary: Any) -> list[int]:
    """The tokens by which a task marks languages."""
    languages = getattr(task, "langs", ())
    names = [name for one in languages for name in (f"__{one}__", f"[{one}]")]
    return [dictionary.index(name) for name in names if name in dictionary]


def _arguments(settings: Settings) -> Any:
    parser: ArgumentParser = options.get_generation_parser()
    flags: Sequence[str] = settings.fairseq_flags()
    return options.parse_args_and_arch(parser, input_args=list(flags))
