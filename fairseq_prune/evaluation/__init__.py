"""How good a model is: decoding, scores, perplexity, and the rows that say them."""

# what flags offer stands here: --help does without torch

# what the lines of data may be (evaluate --text)
TEXTS = {
    "raw": "plain text, in subwords of its own (sentencepiece)",
    "moses": "tokens of Moses, with its HTML escapes or without, perhaps in subwords (BPE)",
}
