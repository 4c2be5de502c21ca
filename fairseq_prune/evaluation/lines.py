"""Translating lines of text that are in no data set, as ``fairseq-interactive`` does."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairseq import utils

from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.subwords import subwords_in
from fairseq_prune.exports.pieces import find_models, given_models
from fairseq_prune.files.needs import need
from fairseq_prune.pruning.refusal import reason_of
from fairseq_prune.tasks.own import folders_of

TOKENIZERS = ("moses", "nltk", "space")  # fairseq's
_FEWEST = 0.05  # of a dictionary's words: fewer that look like subwords may be words
_PACKAGES = {"moses": "sacremoses", "nltk": "nltk"}


@dataclass(frozen=True)
class Segmentation:
    """How lines of text become the tokens of a dictionary, and are joined again.

    Args:
        sentencepiece: the SentencePiece model, or those of source and target; None for that in the
            data, if any.
        bpe_codes: the file that subword-nmt learned.
        tokenizer: what cuts text into words before: one of TOKENIZERS; None for nothing.
        tokens: the lines are tokens already, and so are the translations.
    """

    sentencepiece: Sequence[str] | None = None
    bpe_codes: str | None = None
    tokenizer: str | None = None
    tokens: bool = False

    def check(self) -> None:
        """Raise ValueError, one sentence, where this cannot work."""
        given = [n for n in ("sentencepiece", "bpe_codes", "tokenizer") if getattr(self, n)]
        if self.tokens and given:
            raise ValueError(f"tokens says that nothing is to be cut up, and {given[0]} how: "
                             "leave out one of them.")  # fmt: skip
        if self.sentencepiece and self.bpe_codes:
            raise ValueError("sentencepiece and bpe_codes cut up the same text: give one of them.")
        if self.bpe_codes is not None:
            if not Path(self.bpe_codes).is_file():
                raise ValueError(f"bpe_codes {self.bpe_codes} is not a file; give that of codes.")
            need("subword_nmt", "bpe_codes")
        if self.tokenizer is not None and self.tokenizer not in TOKENIZERS:
            known = ", ".join(TOKENIZERS)
            raise ValueError(f"tokenizer {self.tokenizer} is none of fairseq's: {known}.")
        if self.tokenizer in _PACKAGES:
            need(_PACKAGES[self.tokenizer], f"tokenizer {self.tokenizer}")

    def model_for(self, decoder: Decoder) -> str | None:
        """The SentencePiece model of the source, given or found in the data; None without any.

        Raises ValueError where the dictionary is of subwords and nothing says how to make them.
        """
        task, data = decoder.task, decoder.settings.data
        symbols = [task.source_dictionary.symbols, task.target_dictionary.symbols]
        if self.sentencepiece is not None:
            return str(given_models(self.sentencepiece, symbols)[0])
        if self.tokens or self.bpe_codes is not None:
            return None
        found = find_models(folders_of(data)[0], decoder.languages, symbols)
        mark = None if found else subwords_in(symbols[0][4:], _FEWEST)
        if mark is not None:
            lacking = "bpe_codes=FILE" if mark == "@@" else "sentencepiece=MODEL"
            raise ValueError(
                f"The words of {data} are subwords ({mark}), and it has no SentencePiece model "
                f"that cuts up text so: give {lacking}, or tokens=True for lines that are cut up."
            )
        return str(found[0]) if found else None


def translate_lines(
    checkpoint: str, lines: Sequence[str], settings: Settings, segmentation: Segmentation
) -> list[str]:
    """The best translation of each line, in their order.

    They are those of ``fairseq-interactive``, which takes a line at a time where neither
    ``max_tokens`` nor ``batch_size`` is given.

    Raises ValueError, one sentence, where the checkpoint, the data and the settings do not go
    together.
    """
    if isinstance(lines, str):
        raise ValueError("what is to be translated must be a list of lines, not one text.")
    segmentation.check()
    settings.check_decoding()
    if settings.max_tokens is None and settings.batch_size is None:
        settings = replace(settings, batch_size=1)
    decoder = Decoder(settings)
    decoder.open(checkpoint)
    if not decoder.translates:
        why = decoder.why_no_bleu.removeprefix("of ")
        raise ValueError(f"{checkpoint} gives no translations: it is of {why}.")
    encode, decode = _coders(decoder, segmentation)
    for model in decoder.translators:
        model.prepare_for_inference_(decoder.cfg)
    generator = decoder.task.build_generator(decoder.translators, decoder.cfg.generation)
    stripped = getattr(generator, "symbols_to_strip_from_output", {generator.eos})
    target, joined = decoder.task.target_dictionary, decoder.cfg.common_eval.post_process
    found: dict[int, str] = {}
    for numbers, sample in _batches(decoder, [line.strip() for line in lines], encode):
        best = decoder.task.inference_step(generator, decoder.translators, sample)
        for number, (first, *_) in zip(numbers, best, strict=True):
            tokens = first["tokens"].int().cpu()
            found[number] = decode(target.string(tokens, joined, extra_symbols_to_ignore=stripped))
    return [found[number] for number in sorted(found)]


Change = Callable[[str], str]


def _coders(decoder: Decoder, segmentation: Segmentation) -> tuple[Change, Change]:
    """What makes tokens of a line, and what makes text of tokens: fairseq's own."""
    model, codes = segmentation.model_for(decoder), segmentation.bpe_codes
    kind = "sentencepiece" if model else "subword_nmt" if codes else None
    source, target = decoder.languages
    said: Any = Namespace(
        tokenizer=segmentation.tokenizer, source_lang=source, target_lang=target,
        bpe=kind, sentencepiece_model=model, bpe_codes=codes,
    )  # fmt: skip
    tokenizer, bpe = decoder.task.build_tokenizer(said), decoder.task.build_bpe(said)
    steps = [step for step in (tokenizer, bpe) if step is not None]

    def encode(line: str) -> str:
        for step in steps:
            line = step.encode(line)
        return line

    def decode(line: str) -> str:
        for step in reversed(steps):
            line = step.decode(line)
        return line

    return encode, decode


def _batches(decoder: Decoder, lines: list[str], encode: Change) -> Any:
    """Samples, each with the numbers of its lines, as fairseq-interactive makes them."""
    task, data = decoder.task, decoder.cfg.dataset
    if not lines:
        return
    try:
        tokens, lengths = task.get_interactive_tokens_and_lengths(lines, encode)
        batches = task.get_batch_iterator(
            dataset=task.build_dataset_for_inference(tokens, lengths),
            max_tokens=data.max_tokens,
            max_sentences=data.batch_size,
            max_positions=utils.resolve_max_positions(
                task.max_positions(), *[model.max_positions() for model in decoder.translators]
            ),
            ignore_invalid_inputs=False,
        ).next_epoch_itr(shuffle=False)
    except Exception as error:  # fairseq raises Exception itself
        raise ValueError(f"fairseq cannot take the lines: {reason_of(error)}.") from None
    for batch in batches:
        words = {name: batch["net_input"][name] for name in ("src_tokens", "src_lengths")}
        sample = {"net_input": words}
        yield batch["id"].tolist(), utils.move_to_cuda(sample) if decoder.cuda else sample
