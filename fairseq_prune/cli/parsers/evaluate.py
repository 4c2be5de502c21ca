"""The words and flags of ``fairseq-prune evaluate``."""

from argparse import ArgumentParser

from fairseq_prune.cli.parsers._shared import add_results, add_task
from fairseq_prune.evaluation import TEXTS

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

Exports are taken beside checkpoints: a compact file, which fairseq decodes like the checkpoint in
it, and a folder that export --format ctranslate2 wrote, which CTranslate2 decodes, in the batches
that fairseq makes, with the same beam, length penalty and limits of length; perplexity is that of
its own probabilities. --model-overrides, ensembles and sentences of more tokens than the model has
positions are refused. Each line says its engine, how the weights are stored, and what is exported.

Each line has the bytes of the file as it is, milliseconds a sentence, and the peak of memory: what
the process that translates held at most while it translated, programs and libraries included (VmHWM
of Linux). For fairseq that is this process, where a model may find a few per cent of memory still
taken by the one before; for CTranslate2 one without torch. bench compares both with more care.

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
  fairseq-prune evaluate dense.pt exported-int8/ small.fsz --data data-bin --output results.jsonl
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "checkpoints",
        metavar="CHECKPOINT",
        nargs="+",
        help="checkpoints, compact files and folders of CTranslate2 to score; colons between the "
        "files of an ensemble",
    )
    parser.add_argument("--data", required=True, metavar="BIN", help="made by fairseq-preprocess")
    parser.add_argument("--gen-subset", default="test", help="subset to translate (default test)")
    parser.add_argument(
        "--valid-subset",
        default="valid",
        help="another subset to give the perplexity of (default valid; '' for none)",
    )
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="SUBSET[=FILE]",
        help="another subset to translate and give BLEU and chrF of beside, against raw target "
        "text or its own; may be repeated",
    )
    add_decoding(parser)
    parser.add_argument(
        "--split-compounds",
        action="store_true",
        help="with --text, give the tokenized BLEU with words apart at their hyphens, too, as "
        "papers on WMT'14 En-De do (Stanford's files have them apart already)",
    )
    add_results(parser)


def add_decoding(parser: ArgumentParser) -> None:
    """Add the arguments that say how to decode and what to score against."""
    add_search(parser)
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


def add_search(parser: ArgumentParser) -> None:
    """Add the arguments of the beam search."""
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
