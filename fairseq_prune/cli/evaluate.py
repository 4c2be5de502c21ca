"""``fairseq-prune evaluate``: decode and score checkpoints, many in one process."""

import logging
from argparse import ArgumentParser, Namespace
from dataclasses import fields
from typing import TYPE_CHECKING

from fairseq_prune.cli import _output, _results
from fairseq_prune.cli._task import add_task
from fairseq_prune.evaluation.settings import TEXTS, Settings

HELP = "decode and score checkpoints, many in one process"
DESCRIPTION = """
Translates a test set with each checkpoint, by fairseq's own generator: the translations are those
of fairseq-generate with the same flags. Gives sacreBLEU and chrF with their signatures, the
brevity penalty, the length ratio, and perplexities (2 to the bits a token, as fairseq logs them).

Each checkpoint runs under the task that it was trained with; --data and the flags here override
what it says of it. Language models, masked ones and denoising give perplexity, fairseq-validate's,
and no BLEU. Models of several language pairs translate the pair that -s and -t name; without these
they give the perplexity of all pairs. Files with colons between them are an ensemble, which has no
perplexity.

--text adds the literature's tokenized BLEU (multi-bleu.perl's n-grams of Moses tokens), under its
own name and signature: the two are no measure of each other, and each is compared with its like.
  --text moses  the data are Moses tokens, HTML-escaped or not, in BPE or not (Stanford's IWSLT'15
                and WMT'14). tokenized BLEU takes them as they are, against the data's own target;
                sacreBLEU and chrF take plain text: detokenized, escapes and split compounds undone,
                against --reference (plain text) or the data's own target, treated likewise.
  --text raw    the data are plain text (in sentencepiece), and so is --reference. sacreBLEU as
                without --text; for tokenized BLEU both sides are tokenized, hyphens left whole.
Unknown words (<unk>) match nothing, in BLEU and chrF; they are counted, and written as one
character that the reference does not have.

sacremoses does both, in the target language; one it has no rules for gets general ones. Data that
are lower-cased give scores of lower-cased text, and sacreBLEU's line then says data:lower-cased.

With --output, each checkpoint becomes one line of JSON as soon as it is done; translations, sources
and references are kept beside the file for fairseq-prune report, and a checkpoint that is in it
already is not decoded again. The line says how the checkpoint came to be and names it from the
file's own folder, so that both can be moved together.
"""
EXAMPLES = """
examples:
  fairseq-prune evaluate dense.pt pruned.pt --data data-bin --remove-bpe sentencepiece
  fairseq-prune evaluate runs/*/checkpoint_best.pt --data data-bin --gen-subset test --beam 5 \\
      --remove-bpe sentencepiece --reference test.en --output results.jsonl
  fairseq-prune evaluate iwslt15.pt --data data-bin --text moses --beam 10
  fairseq-prune evaluate m2m.pt --data data-bin -s de -t en --remove-bpe sentencepiece
  fairseq-prune evaluate a.pt:b.pt a.pt b.pt --data data-bin
"""


if TYPE_CHECKING:
    from fairseq_prune.evaluation.results import Row


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "checkpoints",
        metavar="CHECKPOINT",
        nargs="+",
        help="checkpoints to score; colons between the files of an ensemble",
    )
    parser.add_argument("--data", required=True, metavar="BIN", help="made by fairseq-preprocess")
    parser.add_argument("--gen-subset", default="test", help="subset to translate (default test)")
    parser.add_argument(
        "--valid-subset",
        default="valid",
        help="another subset to give the perplexity of (default valid; '' for none)",
    )
    add_decoding(parser)
    parser.add_argument(
        "--split-compounds",
        action="store_true",
        help="with --text, give the tokenized BLEU with words apart at their hyphens, too, as "
        "papers on WMT'14 En-De do (Stanford's files have them apart already)",
    )
    _results.add_flags(parser)


def add_decoding(parser: ArgumentParser) -> None:
    """Add the arguments that say how to decode and what to score against."""
    parser.add_argument("--beam", type=int, default=5, help="beam size (default 5)")
    parser.add_argument("--lenpen", type=float, default=1.0, help="length penalty (default 1)")
    parser.add_argument(
        "--max-len-a",
        type=float,
        default=0.0,
        metavar="A",
        help="a translation has at most A times the source's tokens, plus B (default 0)",
    )
    parser.add_argument(
        "--max-len-b", type=int, default=200, metavar="B", help="see --max-len-a (default 200)"
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="tokens a batch")
    parser.add_argument("--batch-size", type=int, metavar="N", help="sentences a batch")
    parser.add_argument(
        "--remove-bpe",
        nargs="?",
        const="@@ ",
        metavar="KIND",
        help="join subwords before scoring, as for fairseq-generate, e.g. sentencepiece",
    )
    parser.add_argument(
        "--reference",
        metavar="FILE",
        help="raw target text to score against (default: the subset's own target, subwords joined)",
    )
    parser.add_argument(
        "--text",
        choices=TEXTS,
        help="what the data's lines are: gives the tokenized BLEU of papers, and sacreBLEU of "
        "plain text (default: sacreBLEU alone, of the lines as they are)",
    )
    add_refinement(parser)
    add_task(parser)
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")


def add_refinement(parser: ArgumentParser) -> None:
    """Add the arguments of models that refine whole sentences (translation_lev)."""
    parser.add_argument(
        "--iter-decode-max-iter",
        type=int,
        metavar="N",
        help="translation_lev: refine at most so often (default 10); it has no beam",
    )
    parser.add_argument(
        "--iter-decode-eos-penalty",
        type=float,
        metavar="P",
        help="translation_lev: a penalty on short sentences (default 0)",
    )
    parser.add_argument(
        "--iter-decode-force-max-iter",
        action="store_true",
        help="translation_lev: refine exactly so often",
    )


def run(arguments: Namespace) -> int:
    """Evaluate and print; returns the exit code."""
    from fairseq_prune.evaluation.evaluate import check, evaluate
    from fairseq_prune.evaluation.results import signatures

    # fairseq would log to stdout, between the results
    logging.basicConfig(level=logging.WARNING)
    given = {f.name: getattr(arguments, f.name) for f in fields(Settings)}
    given["valid_subset"] = given["valid_subset"] or None
    settings = Settings(**given)
    tasks = check(arguments.checkpoints, settings)
    _results.check(arguments.output)
    for doubt in (*settings.doubts(), *settings.unused(tasks)):
        _output.warn(doubt)
    count = len(arguments.checkpoints)
    tags = _results.tags_of(arguments.tag, count)
    rows = evaluate(arguments.checkpoints, settings, tags, arguments.output)
    for number, (row, known) in enumerate(rows, 1):
        if arguments.json:
            _output.print_json(row)
            continue
        print(
            f"checkpoint {number} of {count}: {arguments.checkpoints[number - 1]}: "
            f"{scores(row, settings)}{unknown(row)}{left(row)}{' (known)' if known else ''}",
            flush=True,
        )
    if not arguments.json:
        for name, signature in signatures(row) if row["bleu"] is not None else ():
            print(f"{name} {signature}")
        if arguments.output:
            print(f"results: {arguments.output}")
    return 0


def scores(row: "Row", settings: Settings) -> str:
    """The scores of a row; perplexities, and why there is no BLEU, where it has none."""
    subset = settings.gen_subset
    ppl = _ppl(row, subset)
    if row["bleu"] is not None:
        return (
            f"{bleus(row)}  chrF {row['chrf']:.2f}  ppl {ppl}  "
            f"BP {row['brevity_penalty']:.3f}  ratio {row['length_ratio']:.3f}  "
        )
    valid = settings.valid_subset
    more = f"{valid} ppl {_ppl(row, valid)}  " if valid else ""
    return f"{subset} ppl {ppl}  {more}no BLEU ({row['no_bleu']})  "


def _ppl(row: "Row", subset: str) -> str:
    value = row[f"{subset}_ppl"]
    return "-" if value is None else format(value, ".2f")


def left(row: "Row") -> str:
    """What is left of a model: parameters where some were cut out, sparsity where weights are 0."""
    parameters, before = row.get("parameters"), row.get("parameters_before")
    if parameters is None or (before is None and row["sparsity"]):
        text, of_all = f"sparsity {row['sparsity']:.4f}", row.get("sparsity_of_all")
        if of_all is None:
            return text
        others = row["sparsity_without_embeddings"]
        return (
            f"{text} of {row['prunable']:,} weights ({of_all:.2%} of all parameters, {others:.2%} "
            "without embeddings)"
        )
    text = f"parameters {parameters:,}"
    if before is not None:
        text += f" ({parameters / max(before, 1):.0%} of its source's {before:,})"
    made = ", ".join(row.get("made") or [])
    return f"{text}, {made}" if made else text


def unknown(row: "Row") -> str:
    """How many unknown words the translations of a row have, where they have any."""
    count = row.get("unknown_words")
    return f"unknown words {count} (no matches)  " if count else ""


def bleus(row: "Row") -> str:
    """The BLEU scores of a row of results, each by its name."""
    if row.get("tokenized_bleu") is None:
        return f"BLEU {row['bleu']:.2f}"
    text = f"BLEU {row['bleu']:.2f} (sacreBLEU)  tokenized BLEU {row['tokenized_bleu']:.2f}"
    split = row.get("tokenized_bleu_split")
    return text if split is None else f"{text} (compounds split {split:.2f})"
