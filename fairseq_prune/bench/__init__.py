"""How fast a model is, and how large."""

# what flags offer stands here: --help does without torch

# of bench --engines; bench/kinds.py has an entry for each
ENGINES = ("fairseq", "fairseq-csr", "torch-int8", "ctranslate2", "ctranslate2-int8")

REFERENCE, OWN = "reference", "own"
# of bench --length: how many steps the search takes
LENGTHS = {
    REFERENCE: "as many as the reference has tokens, the same for every model",
    OWN: "until each model ends its own translations",
}
