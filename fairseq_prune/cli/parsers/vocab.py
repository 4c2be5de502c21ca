"""The words and flags of ``fairseq-prune vocab``."""

from argparse import ArgumentParser

HELP = "take the tokens that a corpus never or rarely uses out of a model and its data"
DESCRIPTION = """
Writes a model (LSTM or Transformer; for translation, multilingual or not, a language model, or one
for denoising) without the embedding and softmax rows of tokens that are rarer than --min-count, and
a folder with its dictionaries and the binarised splits of DATA under their new numbers; stock
fairseq reads both. What counts is the binarised training data, or with --corpus the texts of a
domain, tokenised as the training data was.

Of a multilingual model --pairs says which languages stay: what their training data never has goes.
translation_multi_simple_epoch has one dictionary for all languages; the new folder is for these
pairs, and the checkpoint names them. multilingual_translation has one for each language, and all
of its models stay; a dictionary that no such pair uses stays whole. What the task itself adds to
a dictionary, language tokens and <mask>, stays where it is.

Tokens keep their order. Special tokens stay, and so do language tags (__de__, [de_DE]) and whatever
is in angle brackets; fairseq's filling (madeupword0000) goes, so that the number of tokens need not
be a multiple of 8. A model with one table for both languages keeps what either side uses; with a
table for each, each side is cut on its own, also where both had the same dictionary. Removed tokens
become <unk>; new text is better segmented with the tokens that are left, such as by subword-nmt
apply-bpe --vocabulary FOLDER/dict.LANG.txt, so that a removed one falls into smaller ones.

Rows that stay are the same bits, and so are the logits of kept tokens up to rounding. Probabilities
are shared among fewer tokens, so that beam search can differ a little; greedy search differs only
where it would have chosen a removed token. Masks of a pruned model are cut likewise and can be
verified; the optimizer's state is left out.
"""
EXAMPLES = """
examples:
  fairseq-prune vocab model.pt --data data-bin --dry-run
      what the training data never uses, and how small the model would be
  fairseq-prune vocab model.pt --data data-bin --output small.pt --output-data small-bin \\
      --min-count 5
  fairseq-prune vocab model.pt --data data-bin --output medical.pt --output-data medical-bin \\
      --corpus medical/train.bpe
      reads medical/train.bpe.de and medical/train.bpe.en
  fairseq-generate small-bin --path small.pt --beam 5
  fairseq-prune vocab m2m.pt --data data-bin --output small.pt --output-data small-bin \\
      --pairs de-en,fr-en
      what German, French and English use of a model for many languages
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the trained checkpoint")
    parser.add_argument(
        "--data", metavar="DATA", required=True, help="the binarised folder it was trained on"
    )
    parser.add_argument("--output", metavar="OUT", help="where to write the checkpoint")
    parser.add_argument(
        "--output-data", metavar="FOLDER", help="where to write dictionaries and binarised splits"
    )
    parser.add_argument(
        "--pairs",
        "--lang-pairs",
        metavar="PAIRS",
        help="of a multilingual model: count tokens of these pairs only, such as de-en,fr-en "
        "(default: all that it was trained on)",
    )
    parser.add_argument(
        "--corpus",
        metavar="PREFIX",
        nargs="+",
        help="count tokens in the texts PREFIX.SOURCE and PREFIX.TARGET, not in DATA's train "
        "split; of a language model, in the text PREFIX",
    )
    parser.add_argument(
        "--min-count",
        metavar="N",
        type=int,
        default=1,
        help="keep tokens that occur N times or more (default 1)",
    )
    parser.add_argument(
        "--dict-only", action="store_true", help="write FOLDER's dictionaries only, no splits"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT and files in FOLDER")
    parser.add_argument("--dry-run", action="store_true", help="print the table, write nothing")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")
