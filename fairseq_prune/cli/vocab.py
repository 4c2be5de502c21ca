"""``fairseq-prune vocab``: take the tokens that a corpus does not use out of a model."""

import logging
import os
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_prune.analysis.table import Table, as_text
from fairseq_prune.cli import _corpus, _folder, _output
from fairseq_prune.exports.folder import staged
from fairseq_prune.masks.state import Masks
from fairseq_prune.models import TRAINABLE
from fairseq_prune.network.options import architecture
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.pruning.dictionary import Choice, choose
from fairseq_prune.pruning.opened import Opened
from fairseq_prune.pruning.vocab import Tables, cut, cut_masks, find_tables
from fairseq_prune.pruning.widths import STOCK
from fairseq_prune.tasks.opening import open_checkpoint

if TYPE_CHECKING:  # fairseq takes seconds to load
    from fairseq_prune.tasks.binarised import Split

HELP = "take the tokens that a corpus never or rarely uses out of a model and its data"
DESCRIPTION = """
Writes a translation model (LSTM or Transformer) without the embedding and softmax rows of tokens
that are rarer than --min-count, and a folder with its dictionaries and the binarised splits of DATA
under their new numbers; stock fairseq reads both. What counts is the binarised training data, or
with --corpus the texts of a domain, tokenised as the training data was.

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
"""


@dataclass(frozen=True)
class _Plan:
    """What goes; nothing is written yet. ``choices`` and ``languages`` are by side."""

    opened: Opened
    tables: Tables
    languages: Mapping[str, str]
    choices: Mapping[str, Choice]
    splits: "list[Split]"

    @property
    def kept(self) -> dict[str, Any]:
        return {side: choice.kept for side, choice in self.choices.items()}

    @property
    def masks(self) -> Masks | None:
        """The masks of what stays."""
        masks = self.opened.masks
        return None if masks is None else cut_masks(masks, self.tables, self.kept)

    def weights(self) -> tuple[int, int]:
        """How many weights the model has, and will have."""
        before = after = 0
        for name, tensor in parameters_in(self.opened.content["model"]).items():
            side = self.tables.sides.get(name)
            before += tensor.numel()
            row = 0 if side is None else tensor.numel() // len(tensor)
            after += tensor.numel() - (row * self.choices[side].removed if side else 0)
        return before, after


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
        "--corpus",
        metavar="PREFIX",
        nargs="+",
        help="count tokens in the texts PREFIX.SOURCE and PREFIX.TARGET, not in DATA's train split",
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


def run(arguments: Namespace) -> int:
    """Cut the vocabulary and write; returns the exit code."""
    _check(arguments)
    logging.basicConfig(level=logging.WARNING)  # fairseq logs what it lacks when it is imported
    with _output.Progress() as progress:
        plan = _plan(arguments, progress)
        if not arguments.dry_run:
            _write(plan, arguments, progress)
    if arguments.json:
        _output.print_json(_facts(plan, arguments))
        return 0
    _print(plan, arguments)
    return 0


def _check(arguments: Namespace) -> None:
    if arguments.min_count < 1:
        raise ValueError(
            f"--min-count {arguments.min_count} must be 1 or more: 1 removes what never occurs."
        )
    if not Path(arguments.data).is_dir():
        raise ValueError(
            f"--data {arguments.data} is not a folder; give the one that fairseq-preprocess wrote."
        )
    if arguments.dry_run:
        return
    if arguments.output is None or arguments.output_data is None:
        raise ValueError(
            "vocab needs --output OUT for the checkpoint and --output-data FOLDER for its "
            "dictionaries, or --dry-run."
        )
    if Path(arguments.output).resolve() == Path(arguments.output_data).resolve():
        raise ValueError(
            f"--output and --output-data are both {arguments.output}: give a file and a folder."
        )
    _output.check_output(arguments.output, arguments.force)
    _folder.check_data_folder(arguments.output_data, arguments.data, arguments.force)


def _plan(arguments: Namespace, progress: _output.Progress) -> _Plan:
    data = arguments.data
    opened = open_checkpoint(arguments.checkpoint)
    tables = find_tables(opened)

    from fairseq_prune.tasks.binarised import open_splits

    languages = _corpus.languages_of(opened, data)
    dictionaries = _corpus.dictionaries_of(opened, tables, data, languages)
    if not arguments.dry_run:
        _output.check_space(arguments.output, opened.tensors.values())
    splits = open_splits(Path(data), *languages.values())
    if not arguments.dry_run:
        written = () if arguments.dict_only else splits
        _folder.check_stale(arguments.output_data, {f"{s.path.name}.idx" for s in written})

    def phase(total: int) -> Any:
        return progress.phase("counting", 0.3, total)

    if arguments.corpus:
        counts = _corpus.counts_in_text(arguments.corpus, dictionaries, languages, phase)
    else:
        counts = _corpus.counts_in_train(splits, dictionaries, languages, data, phase)
    choices = choose(dictionaries, counts, arguments.min_count, tables.shared)
    return _Plan(opened, tables, languages, choices, splits)


def _write(plan: _Plan, arguments: Namespace, progress: _output.Progress) -> None:
    from fairseq_prune.tasks.binarised import copy_alignments, renumber

    sides = {language: side for side, language in plan.languages.items()}
    with staged("--output-data", arguments.output_data, whole=False) as folder:
        if not arguments.dict_only:
            total = sum(len(split.sentences) for split in plan.splits)
            tick = progress.phase("renumbering", 0.4, total)
            for split in plan.splits:
                choice = plan.choices[sides[split.language]]
                renumber(split, choice.renumbering(), len(choice.kept), folder, tick)
            copy_alignments(Path(arguments.data), folder)
        for side, choice in plan.choices.items():
            text = choice.dictionary.text(choice.kept)
            path = folder / f"dict.{plan.languages[side]}.txt"
            path.write_text(text, encoding="utf-8")
        model = plan.opened.content["model"]
        tick = progress.phase("cutting", 0.1, sum(model[n].numel() for n in plan.tables.sides))
        content = cut(plan.opened, plan.tables, plan.kept, arguments.output_data, tick)
        _output.write(content, arguments.output, progress, 0.2, plan.opened.size)


def _facts(plan: _Plan, arguments: Namespace) -> dict[str, Any]:
    written = not arguments.dry_run
    before, after = plan.weights()
    masks = plan.masks
    return {
        "output": arguments.output if written else None,
        "output_data": arguments.output_data if written else None,
        "sides": {
            side: {
                "language": plan.languages[side],
                "before": len(choice.dictionary),
                "kept": len(choice.kept),
                "removed": choice.removed,
                "corpus_tokens": choice.used,
                "became_unk": choice.lost,
            }
            for side, choice in plan.choices.items()
        },
        "shared": plan.tables.shared,
        "weights_before": before,
        "weights": after,
        "bytes_before": plan.opened.size,
        "bytes": os.path.getsize(arguments.output) if written else None,
        "sparsity": None if masks is None else masks.sparsity(),
        "digest": None if masks is None else masks.digest(),
    }


def _print(plan: _Plan, arguments: Namespace) -> None:
    lines: Table = [["side", "tokens", "kept", "removed", "of the corpus now <unk>"]]
    for side, c in plan.choices.items():
        name, lost = f"{side} ({plan.languages[side]})", c.lost / max(c.used, 1)
        counts = (len(c.dictionary), len(c.kept), c.removed)
        lines.append([name, *(f"{count:,}" for count in counts), f"{lost:.2%}"])
    print(as_text(lines), end="")
    if plan.tables.shared:
        print("both sides have one table: it keeps what either of them uses")
    before, after = plan.weights()
    print(f"weights: {before:,} -> {after:,} ({1 - after / before:.1%} less)")
    masks = plan.masks
    if masks is not None and plan.opened.masks is not None:
        shares = [
            f"{one.sparsity():.4f} of {one.prunable_in_all():,}"
            for one in (plan.opened.masks, masks)
        ]
        print(f"sparsity: {' -> '.join(shares)} prunable weights")
    size = _output.in_units(plan.opened.size)
    if arguments.dry_run:
        print(f"dry run of {plan.opened.path}, {size}: nothing was written")
        return
    print(f"file: {size} -> {_output.size_of(arguments.output)}, without optimizer state")
    print(f"{arguments.output}, {arguments.output_data}: written; try {_next(plan, arguments)}")


def _next(plan: _Plan, arguments: Namespace) -> str:
    """The command of stock fairseq to try."""
    folder, languages = arguments.output_data, [*plan.languages.values()]
    pair = ["-s", languages[0], "-t", languages[1]]
    names = [] if arguments.dict_only else sorted({split.name for split in plan.splits})
    if names:
        subset = "test" if "test" in names else names[-1]
        more = [] if subset == "test" else ["--gen-subset", subset]
        stock = architecture(plan.opened.content) not in (*TRAINABLE, *STOCK)
        plugin = [] if stock else ["--user-dir", "fairseq_prune"]
        command = ["fairseq-generate", folder, *pair, *plugin, "--path", arguments.output, *more]
        return shlex.join([*command, "--beam", "5"])
    source, target = (f"{folder}/dict.{language}.txt" for language in languages)
    joined = ["--joined-dictionary"] if plan.tables.shared else ["--tgtdict", target]
    texts = ["--testpref", "PREFIX", "--destdir", "FOLDER"]
    return shlex.join(["fairseq-preprocess", *pair, "--srcdict", source, *joined, *texts])
