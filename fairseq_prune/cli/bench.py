"""``fairseq-prune bench``: what a model takes and how fast it translates, told as it is."""

import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.bench import OWN, REFERENCE
from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.cli._task import TASK
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.files.folder import check_folder
from fairseq_prune.files.table import Table, as_markdown, as_text
from fairseq_prune.files.writing import write_text
from fairseq_prune.tasks.own import OwnTask, members_of

_DECODING = ("max_len_a", "max_len_b", "remove_bpe", "reference")


def run(arguments: Namespace) -> int:
    """Measure and print; returns the exit code."""
    _check(arguments)
    settings = _settings(arguments)
    models, against = _models(arguments)
    owns = [_check_task(path, settings) for path in models.values()]
    forced = _is_forced(arguments, settings, owns)
    bleu = not arguments.no_bleu and (settings.has_targets() or settings.reference is not None)
    for doubt in settings.doubts() if bleu else ():
        _output.warn(doubt)

    from fairseq_prune.bench.benchmark import Asked
    from fairseq_prune.bench.benchmark import run as measured
    from fairseq_prune.bench.notes import notes_of
    from fairseq_prune.bench.tables import tables_of

    names = ("beams", "batches", "sentences", "rounds", "threads", "cpu_time")
    asked = Asked(
        models=models, against=against, settings=settings, kinds=arguments.engines, forced=forced,
        bleu=bleu, **{name: getattr(arguments, name) for name in names},
    )  # fmt: skip
    with Progress("measuring"):
        facts = measured(asked, _output.say)
    tables = tables_of(facts)
    notes = notes_of(facts)
    if arguments.output:
        _write(arguments, facts, tables, notes)
    if arguments.json:
        _output.print_json(facts)
        return 0
    print("\n".join(map(as_text, tables)), end="")
    print("", *notes, sep="\n")
    if arguments.output:
        print(arguments.output)
    return 0


def _models(arguments: Namespace) -> tuple[dict[str, str], str]:
    """The models by their labels, and the label of the one that is compared with."""
    paths = list(arguments.checkpoints)
    against = paths[0] if arguments.against is None else arguments.against
    same = [path for path in paths if _normal(path) == _normal(against)]
    paths += [] if same else [against]
    labels = _labels(paths)
    index = paths.index(same[0] if same else against)
    return dict(zip(labels, paths, strict=True)), labels[index]


def _normal(path: str) -> str:
    return os.pathsep.join(map(os.path.normpath, members_of(path)))


def _check(arguments: Namespace) -> None:
    for name in ("sentences", "rounds", "threads", "max_len_b"):
        if getattr(arguments, name) < 1:
            flag = "--" + name.replace("_", "-")
            raise ValueError(f"{flag} {getattr(arguments, name)} must be 1 or more.")
    for name in ("beams", "batches"):
        if min(getattr(arguments, name)) < 1:
            raise ValueError(f"--{name} {min(getattr(arguments, name))} must be 1 or more.")
    if arguments.cpu_time and arguments.threads > 1:
        raise ValueError(
            f"--cpu-time adds up the time of all threads, so it tells nothing of --threads "
            f"{arguments.threads}: leave one of them out."
        )
    if arguments.max_len_a < 0:
        raise ValueError(f"--max-len-a {arguments.max_len_a} must be 0 or more.")
    if max(arguments.batches) > arguments.sentences:
        raise ValueError(
            f"--batches {max(arguments.batches)} is more than --sentences {arguments.sentences}, "
            "so that no batch would have so many: give more sentences or smaller batches."
        )
    if len(set(map(_normal, arguments.checkpoints))) < len(arguments.checkpoints):
        raise ValueError("a checkpoint is given twice; name each once.")
    if arguments.output:
        check_folder("--output", arguments.output)


def _settings(arguments: Namespace) -> Settings:
    return Settings(
        data=arguments.data, gen_subset=arguments.gen_subset, valid_subset=None,
        cpu=True, **{name: getattr(arguments, name) for name in _DECODING},
        **{name: getattr(arguments, name) for name in TASK},
    ).check()  # fmt: skip


def _check_task(path: str, settings: Settings) -> OwnTask:
    from fairseq_prune.exports.forms import FOLDERS, form_of, read_folder, task_of

    own = task_of(path, settings.model_overrides)
    settings.check_task(own, "bench")
    if form_of(path) in FOLDERS:
        read_folder(path).check_data(settings.given())
    own.check_translates("bench")
    if own.pairs and own.pair(settings.given()) is None:
        raise ValueError(
            f"{path} is of several language pairs ({', '.join(own.pairs)}); name one with -s and "
            "-t."
        )
    return own


def _is_forced(arguments: Namespace, settings: Settings, owns: Sequence[OwnTask]) -> bool:
    """Whether all take the steps of the references; raises ValueError where they cannot and it is
    asked for."""
    reasons = [
        f"{own.path} refines whole sentences, so that it cannot be made to take so many steps"
        for own in owns if own.refines
    ]  # fmt: skip
    if not settings.has_targets():
        subset = settings.gen_subset
        reasons.append(f"--data {settings.data} has no reference translations of {subset}")
    if arguments.length == REFERENCE and reasons:
        raise ValueError(f"--length reference: {reasons[0]}; give --length own.")
    return not reasons and arguments.length != OWN


def _labels(paths: Sequence[str]) -> list[str]:
    """The ends of paths, as much of them as tells them apart."""
    parts = [[Path(member).parts for member in members_of(path)] for path in paths]
    every = {member for members in parts for member in members}
    for depth in range(1, max(map(len, every)) + 1):
        if len({member[-depth:] for member in every}) == len(every):
            return [":".join("/".join(member[-depth:]) for member in one) for one in parts]
    return list(paths)


def _write(arguments: Namespace, facts: Any, tables: list[Table], notes: list[str]) -> None:
    import json

    from fairseq_prune.bench.figure import save_speeds

    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(map(as_markdown, tables)) + "\n" + "".join(f"- {note}\n" for note in notes)
    write_text(folder / "table.md", text)
    write_text(folder / "bench.json", json.dumps(facts, indent=1) + "\n")
    save_speeds(facts["speeds"], facts["base"], folder / "bench.png")
