"""``fairseq-prune bench``: what a model takes and how fast it translates, told as it is."""

import contextlib
import logging
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_prune.cli import _output
from fairseq_prune.cli._task import TASK
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.files.folder import check_folder
from fairseq_prune.files.table import Table, as_markdown, as_text
from fairseq_prune.files.writing import write_text
from fairseq_prune.tasks.own import members_of, read_task

if TYPE_CHECKING:
    from fairseq_prune.bench.engines import Engine
    from fairseq_prune.bench.speed import Speed


def run(arguments: Namespace) -> int:
    """Measure and print; returns the exit code."""
    _check(arguments)
    settings = _settings(arguments)
    for path in arguments.checkpoints:
        _check_task(path, settings)
    logging.basicConfig(level=logging.WARNING)  # fairseq would log to stdout
    facts: dict[str, Any] = {"models": {}, "left_out": [], "speeds": []}
    with tempfile.TemporaryDirectory() as temporary:
        folders: dict[str, Path] = {}
        for path, label in zip(arguments.checkpoints, _labels(arguments.checkpoints), strict=True):
            folders[path] = Path(temporary) / str(len(folders))
            folders[path].mkdir()
            facts["models"][label] = {"checkpoint": path, **_of_the_file(path, folders[path])}
        for speeds in _speeds(arguments, settings, folders, facts["left_out"]):
            facts["speeds"] += [speed.as_dict() | {"gain": speed.gain} for speed in speeds]
            _output.say(f"measured beam {speeds[0].setting.beam}, batch {speeds[0].setting.batch}")
    tables = [_sizes_table(facts["models"]), _work_table(facts["models"]), _speed_table(facts)]
    notes = [f"left out: {sentence}" for sentence in facts["left_out"]]
    if arguments.output:
        _write(arguments, facts, tables, notes)
    if arguments.json:
        _output.print_json(facts)
        return 0
    print("\n".join(map(as_text, tables)), end="")
    end = f"{_how(arguments)}; {arguments.output}" if arguments.output else _how(arguments)
    print("\n".join([*notes, end]))
    return 0


def _check(arguments: Namespace) -> None:
    for name in ("sentences", "rounds", "threads", "max_len_b"):
        if getattr(arguments, name) < 1:
            flag = "--" + name.replace("_", "-")
            raise ValueError(f"{flag} {getattr(arguments, name)} must be 1 or more.")
    for name in ("beams", "batches"):
        if min(getattr(arguments, name)) < 1:
            raise ValueError(f"--{name} {min(getattr(arguments, name))} must be 1 or more.")
    if len(set(arguments.checkpoints)) < len(arguments.checkpoints):
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
    own = read_task(path, settings.model_overrides)
    settings.check_task(own, "bench")
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


def _of_the_file(path: str, folder: Path) -> dict[str, Any]:
    from fairseq_prune.bench.sizes import sizes
    from fairseq_prune.checkpoints.counts import count, together
    from fairseq_prune.tasks.opening import open_checkpoint

    every = [open_checkpoint(member) for member in members_of(path)]
    bytes_of = [sizes(opened.path, opened.content, folder) for opened in every]
    return {
        **together([count(opened) for opened in every]).as_dict(),
        "bytes": {form: sum(one[form] for one in bytes_of) for form in bytes_of[0]},
    }


def _speeds(
    arguments: Namespace, settings: Settings, folders: Mapping[str, Path], left_out: list[str]
) -> "Iterator[list[Speed]]":
    import torch

    from fairseq_prune.bench.engines import Fairseq, build
    from fairseq_prune.bench.speed import Setting, measure

    torch.set_num_threads(arguments.threads)
    engines: dict[str, Engine] = {}
    lengths: list[int] = []
    for label, (path, folder) in zip(_labels(list(folders)), folders.items(), strict=True):
        stock = Fairseq(path, settings)
        size = min(arguments.sentences, len(stock.data))
        lengths = [int(stock.data.num_tokens(number)) for number in range(size)]
        first = ["fairseq"] if not engines else []  # what the others are compared with
        for kind in dict.fromkeys([*first, *arguments.engines]):
            no_beam = " (no beam: it refines whole sentences)" if stock.own.refines else ""
            try:
                with contextlib.redirect_stdout(None):
                    engines[f"{label}: {kind}{no_beam}"] = build(
                        kind, path, settings, stock, folder, arguments.threads
                    )
            except ValueError as error:
                left_out.append(f"{label} in {kind}: {error}")
    grid = [Setting(beam, batch) for beam in arguments.beams for batch in arguments.batches]
    return measure(engines, lengths, grid, arguments.rounds)


def _sizes_table(models: Mapping[str, Any]) -> Table:
    forms = list(next(iter(models.values()))["bytes"])
    first = next(iter(models.values()))["bytes"]["stripped"]
    rows = [["bytes, and of the first stripped", *models]]
    for form in forms:
        cells = [facts["bytes"][form] for facts in models.values()]
        rows.append([form, *(f"{size:,} ({size / first:.0%})" for size in cells)])
    return rows


def _work_table(models: Mapping[str, Any]) -> Table:
    rows = [["weights and work", *models]]
    for label, read in (
        ("parameters", lambda f: f"{f['parameters']:,}"),
        ("not zero", lambda f: f"{f['nonzero']:,} ({f['nonzero'] / f['parameters']:.0%})"),
        ("multiply-adds a source token", lambda f: _pair(f["multiply_adds_per_source_token"])),
        ("multiply-adds a target token", lambda f: _pair(f["multiply_adds_per_target_token"])),
        ("of them with zeros", lambda f: f"{f['work_sparsity']:.0%}"),
    ):
        rows.append([label, *(read(facts) for facts in models.values())])
    return rows


def _pair(values: Sequence[int]) -> str:
    dense, sparse = values
    return f"{dense:,}" if dense == sparse else f"{dense:,} ({sparse:,} without zeros)"


def _speed_table(facts: Mapping[str, Any]) -> Table:
    rows = [["beam", "batch", "model: engine", "tokens/s", "against the first"]]
    for speed in facts["speeds"]:
        rate = f"{speed['tokens_per_second']:.0f}"
        rows.append([str(speed["beam"]), str(speed["batch"]), speed["engine"], rate, speed["gain"]])
    return rows


def _write(arguments: Namespace, facts: Any, tables: list[Table], notes: list[str]) -> None:
    import json

    from fairseq_prune.bench.speed import save_speeds

    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(map(as_markdown, tables)) + "".join(f"\n{note}\n" for note in notes)
    write_text(folder / "table.md", text + f"\n{_how(arguments)}\n")
    write_text(folder / "bench.json", json.dumps(facts, indent=1) + "\n")
    save_speeds(facts["speeds"], folder / "bench.png")


def _how(arguments: Namespace) -> str:
    return (
        f"{arguments.sentences} sentences of {arguments.gen_subset}, {arguments.rounds} rounds, "
        f"{arguments.threads} thread{'s' if arguments.threads > 1 else ''}"
    )
