"""Trained models as files to keep, send and run, here and in other programs."""

from collections.abc import Mapping, Sequence

# what flags offer stands here: --help does without torch

# of export --format and --quantization
FORMATS = {
    "checkpoint": "a fairseq checkpoint, which fairseq opens by itself",
    "compact": "without the zeros, compressed; exact; read by this command",
    "ctranslate2": "a folder for that program",
    "torch-int8": "an LSTM in 8 bits, a folder that this command decodes",
}

CTRANSLATE2, INT8 = "ctranslate2", "torch-int8"
SHORTLIST = 100  # candidates a word
QUANTIZATIONS = ("float32", "float16", "int16", "int8", "int8_float16", "int8_float32")


def check_format(
    form: str,
    half: bool,
    data: str | None,
    quantization: str | None,
    pieces: Sequence[str] | None,
    shortlist: int | None = None,
) -> None:
    """Raise ValueError for a flag that this format has no use for.

    Args:
        form: one of ``FORMATS``.
        half, data, quantization, pieces, shortlist: as flags of ``export`` have them; pieces are
            the SentencePiece models.
    """
    if form not in FORMATS:
        raise ValueError(f"--format {form} is not known; the formats are {', '.join(FORMATS)}.")
    if form not in (CTRANSLATE2, INT8):
        lists = None if shortlist is None else str(shortlist)
        _check_unused(form, {"--data": data, "--quantization": quantization,
                             "--sentencepiece": pieces, "--shortlist": lists},
                      "ctranslate2 and torch-int8")  # fmt: skip
        return
    if shortlist is not None and shortlist < 1:
        raise ValueError(f"--shortlist {shortlist} must be 1 or more candidates a word.")
    if half:
        more = "; take --quantization float16" if form == CTRANSLATE2 else ""
        raise ValueError(f"--half is for files, and --format {form} writes a folder{more}.")
    if data is None:
        raise ValueError(
            f"--format {form} needs the dictionaries: give --data DATA, the folder that the model "
            "was trained on."
        )
    if form == INT8:
        _check_unused(form, {"--quantization": quantization}, "ctranslate2")
    elif quantization not in (None, *QUANTIZATIONS):
        raise ValueError(
            f"--quantization {quantization} is not known; it is one of {', '.join(QUANTIZATIONS)}."
        )


def _check_unused(form: str, given: Mapping[str, str | Sequence[str] | None], other: str) -> None:
    for flag, value in given.items():
        if value is not None:
            words = value if isinstance(value, str) else " ".join(map(str, value))
            raise ValueError(
                f"{flag} {words} has no effect with --format {form}; it is for {other}."
            )
