"""Networks of random weights, and what makes them translate, for measuring speed.

Speed does not depend on what the weights are. Every translation is made LENGTH tokens long.
"""

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
from torch import Tensor

from fairseq_prune.checkpoints import storage

LENGTH, SOURCE, ROUNDS = 20, 15, 5  # tokens of a translation and of a source; times in turns
SETTINGS = ((5, 1), (5, 8), (5, 64))  # beam, batch


def lstm_flags(cells: int, layers: int) -> list[str]:
    """Of fairseq's LSTM with as many columns of embeddings as cells in a layer."""
    widths = {f"{side}-{part}": cells for side in ("encoder", "decoder")
              for part in ("embed-dim", "hidden-size")}  # fmt: skip
    widths |= {"decoder-out-embed-dim": cells, "encoder-layers": layers, "decoder-layers": layers}
    return _flags("lstm", widths)


def transformer_flags(width: int, ffn: int, heads: int, layers: int) -> list[str]:
    """Of a Transformer with as many layers on both sides and one table of embeddings."""
    widths = {f"{side}-{part}": size for side in ("encoder", "decoder") for part, size in
              (("embed-dim", width), ("ffn-embed-dim", ffn), ("attention-heads", heads),
               ("layers", layers))}  # fmt: skip
    return [*_flags("transformer", widths), "--share-all-embeddings"]


def _flags(arch: str, widths: dict[str, int]) -> list[str]:
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


def sources(count: int, vocabulary: int) -> Tensor:
    """Sentences as numbers of tokens, (count, SOURCE)."""
    return torch.randint(4, vocabulary, (count, SOURCE))


def by_fairseq(
    model: Any, words: Dictionary, beam: int, tokens: Tensor,
    change: Callable[[Any], Any] | None = None,
) -> Callable[[], Any]:  # fmt: skip
    """What translates a batch by fairseq's beam search.

    Args:
        tokens: as of :func:`sources`.
        change: makes another search of fairseq's; None: stock.
    """
    search = SequenceGenerator([model], words, beam_size=beam, max_len_b=LENGTH, min_len=LENGTH)
    search = search if change is None else change(search)
    inputs = {"src_tokens": tokens, "src_lengths": torch.full((len(tokens),), SOURCE),
              "prev_output_tokens": tokens}  # fmt: skip
    return partial(search.generate, [], {"net_input": inputs})


def sentences(count: int, vocabulary: int) -> list[list[str]]:
    """The same sentences each time, for CTranslate2."""
    draw = torch.Generator().manual_seed(1)
    numbers = torch.randint(0, vocabulary - 4, (count, SOURCE), generator=draw)
    return [[f"w{n}" for n in row] for row in numbers.tolist()]


def by_ctranslate2(
    translator: Any, lines: list[list[str]], beam: int, batch: int, lists: bool = False
) -> None:
    """Translate lines, so many at a time; with a shortlist where ``lists`` says so."""
    for start in range(0, len(lines), batch):
        translator.translate_batch(
            lines[start : start + batch], beam_size=beam, use_vmap=lists,
            min_decoding_length=LENGTH, max_decoding_length=LENGTH,
        )  # fmt: skip


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
