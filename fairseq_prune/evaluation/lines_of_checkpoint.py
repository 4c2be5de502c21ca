"""Lines translated with a checkpoint, or an LSTM in 8 bits, as ``fairseq-interactive`` does."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairseq import utils

from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.evaluate import decoder_of
from fairseq_prune.evaluation.lines import LineTranslator
from fairseq_prune.evaluation.segmentation import Cutter, Segmentation
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports import INT8
from fairseq_prune.exports.forms import as_checkpoint, form_of
from fairseq_prune.exports.pieces import find_models
from fairseq_prune.pruning.refusal import reason_of
from fairseq_prune.tasks.own import folders_of


def opened(model: str, settings: Settings, segmentation: Segmentation) -> "CheckpointLines":
    """A checkpoint, an ensemble, a compact file, or a folder of an LSTM in 8 bits.

    Raises ValueError, one sentence, where it, the data and the settings do not go together.
    """
    form = form_of(model)
    if form == INT8 and not settings.data:
        settings = replace(settings, data=model)  # its dictionaries lie in it
    if not settings.data:
        raise ValueError(
            f"{model} holds no dictionaries: give --data DATA, the folder that it was trained on, "
            "or an exported folder (export --format ctranslate2 or torch-int8), which has them."
        )
    settings.check_decoding()
    decoder = decoder_of(form, settings)
    with as_checkpoint(model) as file:
        decoder.open(file)
    if not decoder.translates:
        why = decoder.why_no_bleu.removeprefix("of ")
        raise ValueError(f"{model} gives no translations: it is of {why}.")
    task, languages = decoder.task, decoder.languages
    symbols = [task.source_dictionary.symbols, task.target_dictionary.symbols]
    places = [Path(model)] * (form == INT8) + [Path(folders_of(settings.data)[0])]
    found = next(filter(None, (find_models(p, languages, symbols) for p in places)), [])
    return CheckpointLines(
        model, segmentation.cutter(languages, symbols, found, settings.data), decoder
    )


class CheckpointLines(LineTranslator):
    """Translates lines with a checkpoint.

    Args:
        decoder: has it open.
    """

    def __init__(self, path: str, cutter: Cutter, decoder: Decoder) -> None:
        for model in decoder.translators:
            model.prepare_for_inference_(decoder.cfg)
        self._most = utils.resolve_max_positions(
            decoder.task.max_positions(), *[model.max_positions() for model in decoder.translators]
        )
        first = self._most[0] if isinstance(self._most, tuple) else self._most
        super().__init__(path, cutter, first)
        self._decoder = decoder
        self._generator = decoder.generator()

    def search(self, sentences: list[list[str]]) -> list[str]:
        """By fairseq's generator, in fairseq's batches."""
        decoder, generator = self._decoder, self._generator
        stripped = getattr(generator, "symbols_to_strip_from_output", {generator.eos})
        target, joined = decoder.task.target_dictionary, decoder.cfg.common_eval.post_process
        found = [""] * len(sentences)
        for numbers, sample in self._batches([" ".join(tokens) for tokens in sentences]):
            best = decoder.task.inference_step(generator, decoder.translators, sample)
            for number, (first, *_) in zip(numbers, best, strict=True):
                tokens = first["tokens"].int().cpu()
                found[number] = target.string(tokens, joined, extra_symbols_to_ignore=stripped)
        return found

    def close(self) -> None:
        """Let go of the models."""
        self._decoder.close()

    def _batches(self, lines: list[str]) -> Iterator[tuple[list[int], Any]]:
        """Samples, each with the numbers of its lines, as fairseq-interactive makes them."""
        task, data = self._decoder.task, self._decoder.cfg.dataset
        try:
            tokens, lengths = task.get_interactive_tokens_and_lengths(lines, lambda line: line)
            batches = task.get_batch_iterator(
                dataset=task.build_dataset_for_inference(tokens, lengths),
                max_tokens=data.max_tokens,
                max_sentences=data.batch_size,
                max_positions=self._most,
                ignore_invalid_inputs=False,
            ).next_epoch_itr(shuffle=False)
        except Exception as error:  # fairseq raises Exception itself
            raise ValueError(f"fairseq cannot take the lines: {reason_of(error)}.") from None
        for batch in batches:
            words = {name: batch["net_input"][name] for name in ("src_tokens", "src_lengths")}
            sample = {"net_input": words}
            yield batch["id"].tolist(), utils.move_to_cuda(sample) if self._decoder.cuda else sample
