"""How much faster a shrunk network decodes: an LSTM in stock fairseq, a Transformer in CTranslate2.

Speed does not depend on what the weights are, so they are random, and every translation is made
20 tokens long. Dense and shrunk take turns; ratios are of CPU time on one thread.
"""

import argparse
import json
import statistics
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from fairseq import models, options
from fairseq.data import Dictionary
from fairseq.sequence_generator import SequenceGenerator

import fairseq_prune
from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.apply import apply_recipe
from fairseq_prune.checkpoints.shrink import plan, shrink
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.opening import open_checkpoint

LENGTH, SOURCE, ROUNDS = 20, 15, 5
# name: flags, vocabulary, and what is pruned to which fraction
LSTMS = {
    "LSTM, 4 layers of 1000": (1000, 4, 8000),
    "LSTM, 2 layers of 512": (512, 2, 8000),
}
TRANSFORMERS = {
    "Transformer, 2+2 layers of 128, ffn 256": (128, 256, 4, 2, 1496),
    "Transformer, 3+3 layers of 256, ffn 1024": (256, 1024, 4, 3, 8000),
    "Transformer, 6+6 layers of 512, ffn 2048": (512, 2048, 8, 6, 8000),
}
# of a Transformer: feed-forward layers to a quarter and heads to a half; and half of the layers
WIDTHS = (("ffn", 0.75), ("heads", 0.5))
CUTS: dict[str, tuple[tuple[str, float], ...]] = {
    "": WIDTHS,
    ", to half of the layers": (("layers", 0.5), *WIDTHS),
}
SETTINGS = ((5, 1), (5, 8), (5, 64))  # beam, batch


def flags_of(widths: dict[str, int], arch: str) -> list[str]:
    return ["--arch", arch, *(w for n, v in widths.items() for w in (f"--{n}", str(v)))]


def make(folder: Path, flags: list[str], vocabulary: int) -> tuple[dict[str, Any], Dictionary]:
    """A checkpoint of random weights, and its dictionary, which is in the folder too."""
    words = Dictionary()
    for number in range(vocabulary - len(words)):
        words.add_symbol(f"w{number}")
    for language in ("de", "en"):
        words.save(str(folder / f"dict.{language}.txt"))
    args = options.parse_args_and_arch(
        options.get_training_parser(), ["data", "--criterion", "cross_entropy", *flags]
    )
    args._name, args.source_lang, args.target_lang = args.arch, "de", "en"
    args.max_source_positions = args.max_target_positions = 1024
    content = {
        "args": None,
        "cfg": {"model": args, "task": {"_name": "translation", "data": str(folder),
                                        "source_lang": "de", "target_lang": "en"}},
        "model": build(args, words).state_dict(), "extra_state": {}, "task_state": {},
    }  # fmt: skip
    storage.save(content, folder / "dense.pt")
    return content, words


def build(args: Namespace, words: Dictionary) -> Any:
    task = SimpleNamespace(source_dictionary=words, target_dictionary=words)
    return models.build_model(Namespace(**vars(args)), task).eval()


def smaller(folder: Path, *prunings: tuple[str, float]) -> dict[str, Any]:
    """The checkpoint with units of these structures cut out, a fraction of each."""
    path = folder / "dense.pt"
    for structure, sparsity in prunings:
        recipe = Recipe(scheme="class-uniform", structure=structure, sparsity=sparsity)
        content = apply_recipe(open_checkpoint(str(path)), recipe).content(lambda _: None)
        path = folder / f"{structure}.pt"
        storage.save(content, path)
    small = shrink(plan(open_checkpoint(str(path))))
    storage.save(small, folder / "small.pt")
    return small


def ratios(one: Callable[[], Any], other: Callable[[], Any]) -> list[float]:
    """How many times longer ``one`` takes than ``other``, round by round."""
    found = []
    for _ in range(ROUNDS + 1):
        found.append(timed(one) / timed(other))
    return sorted(found[1:])  # the first warms up


def timed(run: Callable[[], Any]) -> float:
    """Seconds of CPU time."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def lstm(cells: int, layers: int, vocabulary: int) -> dict[str, Any]:
    """Half of all cells and embedding columns cut out, in stock fairseq."""
    widths = {f"{side}-{part}": cells for side in ("encoder", "decoder")
              for part in ("embed-dim", "hidden-size")}  # fmt: skip
    widths |= {"decoder-out-embed-dim": cells, "encoder-layers": layers, "decoder-layers": layers}
    with tempfile.TemporaryDirectory() as name:
        dense, words = make(Path(name), flags_of(widths, "lstm"), vocabulary)
        small = smaller(Path(name), ("hidden+embedding", 0.5))
    args = [content["cfg"]["model"] for content in (dense, small)]
    assert args[1]._name == "lstm"
    sizes = [sum(v.numel() for v in parameters_in(c["model"]).values()) for c in (dense, small)]
    found: dict[str, Any] = {"parameters": sizes, "allowed": sizes[0] / sizes[1], "ratios": {}}
    for beam, batch in SETTINGS:
        searches = [
            SequenceGenerator(
                [build(one, words)], words, beam_size=beam, max_len_b=LENGTH, min_len=LENGTH
            )
            for one in args
        ]
        source = torch.randint(4, vocabulary, (batch, SOURCE))
        lengths = torch.full((batch,), SOURCE)
        inputs = {"src_tokens": source, "src_lengths": lengths, "prev_output_tokens": source}
        runs = [partial(one.generate, [], {"net_input": inputs}) for one in searches]
        found["ratios"][f"beam {beam}, batch {batch}"] = ratios(*runs)
    return found


def translate(translator: Any, sentences: list[list[str]], beam: int, batch: int) -> None:
    for start in range(0, len(sentences), batch):
        translator.translate_batch(
            sentences[start : start + batch], beam_size=beam,
            min_decoding_length=LENGTH, max_decoding_length=LENGTH,
        )  # fmt: skip


def transformer(
    cuts: tuple[tuple[str, float], ...], width: int, ffn: int, heads: int, layers: int,
    vocabulary: int,
) -> dict[str, Any]:  # fmt: skip
    """Units cut out, in CTranslate2 at int8."""
    import ctranslate2

    from fairseq_prune.exports import ctranslate

    widths = {f"{side}-{part}": size for side in ("encoder", "decoder") for part, size in
              (("embed-dim", width), ("ffn-embed-dim", ffn), ("attention-heads", heads),
               ("layers", layers))}  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flags = [*flags_of(widths, "transformer"), "--share-all-embeddings"]
        dense, _ = make(folder, flags, vocabulary)
        small = smaller(folder, *cuts)
        translators: list[Any] = []
        for kind in ("dense", "small"):
            out = str(folder / f"{kind}-int8")
            ctranslate.convert(str(folder / f"{kind}.pt"), name, out, "int8")
            translators.append(ctranslate2.Translator(out, device="cpu", intra_threads=1))
    draw = torch.Generator().manual_seed(1)
    numbers = torch.randint(0, vocabulary - 4, (64, SOURCE), generator=draw)
    sentences = [[f"w{n}" for n in row] for row in numbers.tolist()]
    sizes = [sum(v.numel() for v in parameters_in(c["model"]).values()) for c in (dense, small)]
    found: dict[str, Any] = {"parameters": sizes, "allowed": sizes[0] / sizes[1], "ratios": {}}
    for beam, batch in SETTINGS:
        chosen = sentences if batch > 1 else sentences[:8]
        runs = [partial(translate, one, chosen, beam, batch) for one in translators]
        found["ratios"][f"beam {beam}, batch {batch}"] = ratios(*runs)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fairseq_prune.register()
    facts = {}
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        name: partial(lstm, *widths) for name, widths in LSTMS.items()
    }
    for name, sizes in TRANSFORMERS.items():
        runs |= {name + cut: partial(transformer, cuts, *sizes) for cut, cuts in CUTS.items()}
    for name, measure in runs.items():
        found = facts[name] = measure()
        before, after = found["parameters"]
        print(f"{name}: {before:,} -> {after:,} parameters ({found['allowed']:.2f}x fewer)")
        for setting, values in found["ratios"].items():
            middle = statistics.median(values)
            spread = f"{values[0]:.2f} to {values[-1]:.2f}"
            share = middle / found["allowed"]
            print(f"  {setting}: {middle:.2f}x ({spread}), {share:.2f} of that", flush=True)
    if arguments.json:
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
