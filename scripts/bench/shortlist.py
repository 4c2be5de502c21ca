"""How much faster a lexical shortlist makes decoding in 8 bits: a Transformer's in CTranslate2, and
an LSTM's in torch.

Speed does not depend on what the weights are, so they are random, every translation is made 20
tokens long, and a sentence's list is so many words as lists of real data have. With and without
take turns; ratios are of CPU time on one thread. What a shortlist of your data covers is said by
`fairseq-prune export --shortlist`, and what your model gains by `fairseq-prune bench`.
"""

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from random_models import (
    by_ctranslate2,
    by_fairseq,
    lstm_flags,
    make,
    ratios,
    sentences,
    sources,
    transformer_flags,
)

import fairseq_prune
from fairseq_prune.exports import ctranslate
from fairseq_prune.exports.forms import read_folder
from fairseq_prune.exports.int8 import export as int8
from fairseq_prune.exports.int8.lists import WordLists
from fairseq_prune.exports.int8.network import network_in
from fairseq_prune.exports.int8.search import narrowed

# name: width, feed-forward width, heads, layers, words of the dictionary
TRANSFORMERS = {
    "Transformer, 2+2 layers of 256, ffn 512, 8,000 words": (256, 512, 4, 2, 8000),
    "Transformer, 6+6 layers of 512, ffn 2048, 10,000 words": (512, 2048, 8, 6, 10_000),
    "Transformer, 6+6 layers of 512, ffn 2048, 32,000 words": (512, 2048, 8, 6, 32_000),
}
LSTMS = {"LSTM, 2 layers of 512, 10,000 words": (512, 2, 10_000)}  # cells, layers, words
LISTS = (400, 1600)  # words of a sentence's list
SETTINGS = ((5, 1), (5, 8), (5, 32))  # beam, batch


def write_list(folder: str, words: int) -> None:
    """A shortlist that has these many words whatever the sentence, CTranslate2's own among them."""
    always = " ".join(f"w{number}" for number in range(words - 3))
    (Path(folder) / ctranslate.SHORTLIST).write_text(f"\t{always}\n", encoding="utf-8")


def transformer(width: int, ffn: int, heads: int, layers: int, vocabulary: int) -> dict[str, Any]:
    """By the words of a list, and by beam and batch, the ratios of all rounds."""
    import ctranslate2

    lines = sentences(32, vocabulary)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), transformer_flags(width, ffn, heads, layers), vocabulary)
        out = str(Path(name) / "int8")
        ctranslate.convert(str(Path(name) / "dense.pt"), name, out, "int8")
        for words in LISTS:
            write_list(out, words)
            translator = ctranslate2.Translator(out, device="cpu", intra_threads=1)
            for beam, batch in SETTINGS:
                chosen = lines if batch > 1 else lines[:4]
                runs = [partial(by_ctranslate2, translator, chosen, beam, batch, lists)
                        for lists in (False, True)]  # fmt: skip
                found[f"{words} words, beam {beam}, batch {batch}"] = ratios(runs[0], runs[1])
    return found


def lstm(cells: int, layers: int, vocabulary: int) -> dict[str, Any]:
    """The same of an LSTM."""
    with tempfile.TemporaryDirectory() as name:
        _, words = make(Path(name), lstm_flags(cells, layers), vocabulary)
        int8.convert(str(Path(name) / "dense.pt"), name, str(Path(name) / "int8"))
        folder: Any = read_folder(str(Path(name) / "int8"))
        model = network_in(folder, (words, words))
    none = torch.zeros(vocabulary, dtype=torch.long)  # what every sentence has is all there is
    lists = {size: WordLists(none[:0], none, torch.arange(4, size), vocabulary) for size in LISTS}
    found: dict[str, Any] = {}
    for size, one in lists.items():
        for beam, batch in SETTINGS:
            tokens = sources(batch, vocabulary)
            runs = [
                by_fairseq(model, words, beam, tokens, partial(narrowed, lists=each))
                for each in (None, one)
            ]
            found[f"{size} words, beam {beam}, batch {batch}"] = ratios(runs[0], runs[1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fairseq_prune.register()
    facts = {}
    every: list[Any] = [(lstm, *one) for one in LSTMS.items()]
    every += [(transformer, *one) for one in TRANSFORMERS.items()]
    for measure, name, widths in every:
        print(name, flush=True)
        found = facts[name] = measure(*widths)
        for setting, values in found.items():
            middle = statistics.median(values)
            print(f"  {setting}: {middle:.2f}x ({values[0]:.2f} to {values[-1]:.2f})", flush=True)
    if arguments.json:
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
