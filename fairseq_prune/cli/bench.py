"""``fairseq-prune bench``: what a model takes and how fast it translates, told as it is."""

import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.cli._task import TASK
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.files.folder import check_folder
from fairseq_prune.files.table import Table, as_markdown, as_text
from fairseq_prune.files.writing import write_text
from fairseq_prune.tasks.own import members_of


def run(arguments: Namespace) -> int:
    """Measure and print; returns the exit code."""
    _check(arguments)
    settings = _settings(arguments)
    models, against = _models(arguments)
    for path in models.values():
        _check_task(path, settings)

    from fairseq_prune.bench.benchmark import Asked
    from fairseq_prune.bench.benchmark import run as measured
    from fairseq_prune.bench.tables import tables_of

    names = ("beams", "batches", "sentences", "rounds", "threads")
    asked = Asked(
        models=models, against=against, settings=settings, kinds=arguments.engines,
        **{name: getattr(arguments, name) for name in names},
    )  # fmt: skip
    with Progress("measuring"):
        facts = measured(asked, _output.say)
    tables = tables_of(facts)
    notes = [f"left out: {sentence}" for sentence in facts["left_out"]] + _how(facts, arguments)
    if arguments.output:
        _write(arguments, facts, tables, notes)
    if arguments.json:
        _output.print_json(facts)
        return 0
    print("\n".join(map(as_text, tables)), end="")
    print("\n".join(notes) + (f"; {arguments.output}" if arguments.output else ""))
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
    if len(set(map(_normal, arguments.checkpoints))) < len(arguments.checkpoints):
        raise ValueError("a checkpoint is given twice; name each once.")
    if arguments.output:
        check_folder("--output", arguments.output)


def _settings(arguments: Namespace) -> Settings:
    return Settings(
        data=arguments.data, gen_subset=arguments.gen_subset, valid_subset=None,
        max_len_b=arguments.max_len_b, cpu=True,
        **{name: getattr(arguments, name) for name in TASK},
    ).check()  # fmt: skip


def _check_task(path: str, settings: Settings) -> None:
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

    from fairseq_prune.bench.speed import save_speeds

    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(map(as_markdown, tables)) + "".join(f"\n{note}\n" for note in notes)
    write_text(folder / "table.md", text)
    write_text(folder / "bench.json", json.dumps(facts, indent=1) + "\n")
    save_speeds(facts["speeds"], folder / "bench.png")


def _how(facts: Any, arguments: Namespace) -> list[str]:
    """What the numbers are, and of what."""
    from fairseq_prune.bench.tables import compares

    notes = [
        "peak memory: resident, of a process that translates these sentences only, beam "
        f"{max(arguments.beams)}, batch {max(arguments.batches)}, its programs and libraries "
        "included (torch and fairseq, or CTranslate2 alone)"
    ]
    if compares(facts):
        notes.append(f"of {facts['against']}'s: in the same engine and form; where it has none, -")
    return [
        *notes,
        f"{arguments.sentences} sentences of {arguments.gen_subset}, {arguments.rounds} rounds, "
        f"{arguments.threads} thread{'s' if arguments.threads > 1 else ''}",
    ]
