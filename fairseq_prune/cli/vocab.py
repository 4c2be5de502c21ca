"""``fairseq-prune vocab``: take the tokens that a corpus does not use out of a model."""

import os
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.languages import ONE_PAIR, Vocabularies
from fairseq_prune.checkpoints.vocabulary import Tables, cut, cut_masks, find_tables
from fairseq_prune.cli import _corpus, _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.cli._trying import to_try
from fairseq_prune.data.dictionary import Choice, choose
from fairseq_prune.files.folder import check_folder, staged
from fairseq_prune.files.table import Table, as_text
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.tasks.opening import open_checkpoint

if TYPE_CHECKING:  # fairseq takes seconds to load
    from fairseq_prune.data.binarised import Split


@dataclass(frozen=True)
class _Plan:
    """What goes; nothing is written yet. ``choices`` are by key."""

    opened: Opened
    tables: Tables
    vocabularies: Vocabularies
    choices: Mapping[str, Choice]
    splits: "list[Split]"

    @property
    def kept(self) -> dict[str, Any]:
        return {side: choice.kept for side, choice in self.choices.items()}

    def counts_for(self, key: str) -> bool:
        """Whether something was counted that says what stays of a dictionary."""
        groups = [group for group in self.tables.groups if key in group] or [(key,)]
        return bool(set(groups[0]) & self.vocabularies.used)

    @property
    def masks(self) -> Masks | None:
        """The masks of what stays."""
        masks = self.opened.masks
        return None if masks is None else cut_masks(masks, self.tables, self.kept)

    def weights(self) -> tuple[int, int]:
        """How many weights the model has, and will have."""
        before = after = 0
        for name, tensor in parameters_in(self.opened.content["model"]).items():
            key = self.tables.sides.get(name)
            before += tensor.numel()
            row = 0 if key is None else tensor.numel() // len(tensor)
            after += tensor.numel() - (row * self.choices[key].removed if key else 0)
        return before, after


def run(arguments: Namespace) -> int:
    """Cut the vocabulary and write; returns the exit code."""
    _check(arguments)
    with Progress() as progress:
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
    check_data(arguments.data)
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
    check_data_folder(arguments.output_data, arguments.data, arguments.force)


def _plan(arguments: Namespace, progress: Progress) -> _Plan:
    data = arguments.data
    opened = open_checkpoint(arguments.checkpoint)
    pairs = arguments.pairs.split(",") if arguments.pairs else None
    its = _corpus.vocabularies_in(opened, data, pairs)
    tables = find_tables(opened, its)
    dictionaries = _corpus.dictionaries_of(opened, tables, data, its)
    if not arguments.dry_run:
        _output.check_space(arguments.output, opened.tensors.values())
    splits = _corpus.splits_of(data, its)
    if not arguments.dry_run:
        written = () if arguments.dict_only else splits
        names = {f"{s.path.name}.idx" for s in written} | {*map(its.file_of, its.languages)}
        check_stale(arguments.output_data, names)

    def phase(total: int) -> Any:
        return progress.phase("counting", 0.3, total)

    if arguments.corpus:
        counts = _corpus.counts_in_text(arguments.corpus, dictionaries, its, phase)
    else:
        counts = _corpus.counts_in_train(splits, dictionaries, its, data, phase)
    choices = choose(dictionaries, counts, arguments.min_count, tables.groups)
    return _Plan(opened, tables, its, choices, splits)


def _write(plan: _Plan, arguments: Namespace, progress: Progress) -> None:
    from fairseq_prune.data.binarised import copy_alignments, renumber

    its = plan.vocabularies
    with staged("--output-data", arguments.output_data, whole=False) as folder:
        if not arguments.dict_only:
            total = sum(len(split.sentences) for split in plan.splits)
            tick = progress.phase("renumbering", 0.4, total)
            for split in plan.splits:
                choice = plan.choices[_corpus.key_of(split, its)]
                renumber(split, choice.renumbering(), len(choice.kept), folder, tick)
            copy_alignments(Path(arguments.data), folder)
        for key, choice in plan.choices.items():
            text = choice.dictionary.text(choice.kept)
            (folder / its.file_of(key)).write_text(text, encoding="utf-8")
        model = plan.opened.content["model"]
        tick = progress.phase("cutting", 0.1, sum(model[n].numel() for n in plan.tables.sides))
        data = arguments.output_data
        content = cut(plan.opened, plan.tables, plan.kept, data, tick, its.settings)
        _output.write(content, arguments.output, progress, 0.2, plan.opened.size)


def _facts(plan: _Plan, arguments: Namespace) -> dict[str, Any]:
    written = not arguments.dry_run
    before, after = plan.weights()
    masks, its = plan.masks, plan.vocabularies
    return {
        "output": arguments.output if written else None,
        "output_data": arguments.output_data if written else None,
        "sides": {
            key: {
                "language": plan.vocabularies.languages[key] or None,
                "before": len(choice.dictionary),
                "kept": len(choice.kept),
                "removed": choice.removed,
                "corpus_tokens": choice.used,
                "became_unk": choice.lost,
            }
            for key, choice in plan.choices.items()
        },
        "shared": plan.tables.shared,
        "pairs": ["-".join(its.languages[key] for key in pair) for pair in its.counted],
        "weights_before": before,
        "weights": after,
        "bytes_before": plan.opened.size,
        "bytes": os.path.getsize(arguments.output) if written else None,
        "sparsity": None if masks is None else masks.sparsity(),
        "digest": None if masks is None else masks.digest(),
    }


def _print(plan: _Plan, arguments: Namespace) -> None:
    its = plan.vocabularies
    lines: Table = [["side", "tokens", "kept", "removed", "of the corpus now <unk>"]]
    for key, c in plan.choices.items():
        lost = c.lost / max(c.used, 1)
        counts = (len(c.dictionary), len(c.kept), c.removed)
        lines.append([its.label(key), *(f"{count:,}" for count in counts), f"{lost:.2%}"])
    print(as_text(lines), end="")
    for line in _together(plan):
        print(line)
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
    names = set() if arguments.dict_only else {split.name for split in plan.splits}
    command = to_try(plan.opened.content, its, arguments, sorted(names), plan.tables.shared)
    more = f"; try {command}" if command else ""
    print(f"{arguments.output}, {arguments.output_data}: written{more}")


def _together(plan: _Plan) -> Iterator[str]:
    """What is said of dictionaries that stay alike, and of those that stay whole."""
    its = plan.vocabularies
    for group in plan.tables.groups:
        if its.task in ONE_PAIR:
            yield "both sides have one table: it keeps what either of them uses"
        else:
            yield f"{', '.join(group)} have one dictionary: it keeps what any of them uses"
    whole = [key for key in plan.choices if not plan.counts_for(key)]
    if whole:
        yield f"no pair that counts has {', '.join(whole)}: nothing was removed there"


def check_data(data: str) -> None:
    """Raise ValueError where ``--data`` is not one folder."""
    shards = data.split(os.pathsep)
    if len(shards) > 1 and all(map(os.path.isdir, shards)):
        raise ValueError(
            f"--data {data} names {len(shards)} folders, and vocab takes one: call it for each "
            "with the same --corpus, so that the same tokens stay."
        )
    if not Path(data).is_dir():
        raise ValueError(
            f"--data {data} is not a folder; give the one that fairseq-preprocess wrote."
        )


def check_data_folder(folder: str, data: str, force: bool) -> None:
    """Raise ValueError where ``--output-data`` cannot or must not be written.

    Args:
        data: the folder that is read, which it must not be.
    """
    target = Path(folder)
    check_folder("--output-data", folder)
    if target.resolve() == Path(data).resolve():
        raise ValueError(
            f"--output-data {folder} is --data itself, whose numbers the old checkpoint needs: "
            "give another folder."
        )
    if target.is_dir() and any(target.iterdir()) and not force:
        raise ValueError(
            f"--output-data {folder} has files in it; give --force to replace those of the same "
            "name."
        )


def check_stale(folder: str, names: set[str]) -> None:
    """Raise ValueError where the folder has data or dictionaries that are not among the new files.

    Their numbers would be those of another dictionary. Alignments have no such numbers.
    """
    target = Path(folder)
    old = [*sorted(target.glob("*.idx")), *sorted(target.glob("dict.*txt"))]
    stale = next((p.name for p in old if p.name not in names and ".align." not in p.name), None)
    if stale:
        raise ValueError(
            f"--output-data {folder} has {stale}, which is not among the new files and would not "
            "fit the new dictionary: remove it, or give another folder."
        )
