"""Trained models as files to keep, send and run, here and in other programs."""

# what flags offer stands here: --help does without torch

# of export --format and --quantization
FORMATS = {
    "checkpoint": "a fairseq checkpoint, which fairseq opens by itself",
    "compact": "without the zeros, compressed; exact; read by this command",
    "ctranslate2": "a folder for that program",
}

QUANTIZATIONS = ("float32", "float16", "int16", "int8", "int8_float16", "int8_float32")
