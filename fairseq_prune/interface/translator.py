"""Models in Python that translate lines of text: checkpoints and exported folders alike."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.files.closing import Closing
from fairseq_prune.interface.flags import check_names, name_of, names_of
from fairseq_prune.tasks import opening

if TYPE_CHECKING:
    from fairseq_prune.evaluation.lines import LineTranslator

_DECODING = (
    *("beam", "lenpen", "max_len_a", "max_len_b", "max_tokens", "batch_size", "remove_bpe"),
    *("source_lang", "target_lang", "model_overrides", "iter_decode_max_iter"),
    *("iter_decode_eos_penalty", "iter_decode_force_max_iter", "user_dir", "cpu"),
)


class Translator(Closing):
    """A model that is open for translating; :func:`open_translator` opens it. A context manager:
    at its end the model is let go of.
    """

    def __init__(self, lines: "LineTranslator") -> None:
        self._lines = lines

    def translate(self, lines: Sequence[str]) -> list[str]:
        """The best translation of each line, in their order; of an empty line an empty one.

        Args:
            lines: plain text, or what ``tokens`` said.

        Raises ValueError, in a sentence, where a line is longer than the model can take.
        """
        check_lines(lines)
        with quiet():
            return self._lines.translate(lines)

    def close(self) -> None:
        """Let go of the model."""
        self._lines.close()


def open_translator(
    model: str | Path,
    data: str | Path | None = None,
    *,
    sentencepiece: str | Path | Sequence[str | Path] | None = None,
    bpe_codes: str | Path | None = None,
    tokenizer: str | None = None,
    tokens: bool = False,
    **decoding: Any,
) -> Translator:
    """A model, opened once for any number of calls of ``translate``, which gives the lines of
    ``fairseq-prune translate``.

    Args:
        model: a checkpoint, a compact file, or an exported folder.
        data: the folder that the model was trained on, for its dictionaries; an exported folder has
            them.
        sentencepiece: the SentencePiece model that cuts up the text, or those of source and
            target; that in the folder or in ``data`` unless given.
        bpe_codes: the codes of subword-nmt that cut up the text, instead.
        tokenizer: what makes words of the text before: ``"moses"``, ``"nltk"`` or ``"space"``,
            as for fairseq-interactive.
        tokens: the lines are tokens of the dictionary, and so are the translations.
        decoding: flags of ``fairseq-prune translate`` that say how to decode: ``beam=5``,
            ``lenpen``, ``max_len_a``, ``max_len_b``, ``batch_size`` (32 unless given) and so on.

    Raises ValueError, in a sentence, where data, model and settings do not go together, or a flag
    is none of decoding.
    """
    check_names(decoding, _DECODING, "flag of decoding")
    opening.quiet_fairseq()
    from fairseq_prune.evaluation.lines import open_lines  # these load fairseq
    from fairseq_prune.evaluation.segmentation import Segmentation

    settings = Settings(data=name_of(data) or "", valid_subset=None, **decoding)
    how = Segmentation(names_of(sentencepiece), name_of(bpe_codes), tokenizer, tokens)
    with quiet():
        return Translator(open_lines(str(model), settings, how))


def check_lines(lines: Sequence[str]) -> None:
    """Raise ValueError where they are one text."""
    if isinstance(lines, str):
        raise ValueError("what is to be translated must be a list of lines, not one text.")


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch warns of in fairseq's way to use it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch")
        yield
