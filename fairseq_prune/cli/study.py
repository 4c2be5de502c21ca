"""``fairseq-prune study``: a grid of runs from one file, resumable, here or on a cluster."""

import shutil
import signal
import sys
import time
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from fairseq_prune.cli import _output
from fairseq_prune.cli._study_starts import STARTS
from fairseq_prune.files.table import as_text
from fairseq_prune.study.data import foreseen
from fairseq_prune.study.driver import Driver, Outcome
from fairseq_prune.study.executors import Cluster, Executor, Local
from fairseq_prune.study.folder import POINTS
from fairseq_prune.study.layout import Laid, check_folder, lay, look
from fairseq_prune.study.progress import costs_of, in_words, time_left
from fairseq_prune.study.settings import read_study


def run(arguments: Namespace) -> int:
    """Do what is asked; returns the exit code: 1 where a point failed."""
    if arguments.action in STARTS:
        return STARTS[arguments.action](arguments)
    laid = look(read_study(arguments.study), Path(arguments.output))
    actions = {"run": _run, "plan": _plan, "status": _status, "clean": _clean}
    try:
        return actions[arguments.action](laid, arguments)
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, a folder that may not be written
        raise ValueError(
            f"{error.strerror}: {error.filename or laid.root}; when that is mended, the same "
            "command goes on."
        ) from None


def _run(laid: Laid, arguments: Namespace) -> int:
    check_folder(laid)
    executor = _executor(laid, arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        for line in _abouts(laid):
            _say(line)
        lay(laid, _say)
        _say(
            f"{len(laid.points)} points, {executor.slots} at a time; logs: {laid.root / POINTS}/*/"
        )
        outcome = Driver(laid, executor, _say).run()
    except KeyboardInterrupt:
        _say("stopped; the same command goes on")
        raise
    if not arguments.no_report and outcome.done:
        _report(laid)
    return _close(laid, outcome)


def _abouts(laid: Laid) -> list[str]:
    """What becomes of models that are there already."""
    study = laid.study
    return [line for model in study.models.values() for line in model.about(study.seeds)]


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _executor(laid: Laid, arguments: Namespace) -> Executor:
    for name in ("jobs", "gpus"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value} must be 1 or more.")
    options = _output.pairs(arguments.slurm, "--slurm", "slurm_partition=gpu")
    if arguments.on == "local":
        if options:
            raise ValueError("--slurm goes with --on slurm.")
        return Local(arguments.jobs, arguments.gpus, arguments.cpu)
    cluster = {"slurm": "slurm", "submitit": "local"}[arguments.on]
    gpus = 0 if arguments.cpu else arguments.gpus or (1 if cluster == "slurm" else 0)
    return Cluster(laid.root / "submitit", cluster, arguments.jobs, gpus, options)


def _say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {sentence}", flush=True)


def _report(laid: Laid) -> None:
    from fairseq_prune.files.text import this_command
    from fairseq_prune.report.report import write_report

    output = laid.root / "report"
    print(write_report([str(laid.root)], str(output), laid.study.title, this_command()), flush=True)
    _say(f"report: {output}/index.html")


def _close(laid: Laid, outcome: Outcome) -> int:
    missing = len(outcome.failed) + len(outcome.blocked)
    if not missing:
        _say(f"all {len(laid.points)} points are done: {laid.root}")
        return 0
    for name, what in outcome.failed.items():
        print(f"failed: {name}: {what}", file=sys.stderr)
    _say(
        f"{len(outcome.done)} of {len(laid.points)} points are done, {len(outcome.failed)} failed, "
        f"{len(outcome.blocked)} need one that failed; the same command tries them again"
    )
    return 1


def _plan(laid: Laid, arguments: Namespace) -> int:
    check_folder(laid)
    slots = _executor(laid, arguments).slots
    left = [p for p in laid.points if not laid.folders[p.name].is_done]
    seconds, unknown = time_left(left, costs_of(laid.points, laid.folders), slots)
    if arguments.json:
        names = [p.name for p in left]
        print_what = {"run": names, "done": len(laid.points) - len(left), "slots": slots}
        _output.print_json({**print_what, "seconds": seconds, "unknown": unknown})
        return 0
    for line in _abouts(laid):
        print(line)
    kinds = Counter((p.model, p.data, p.stage, _amount(p.work)) for p in left)
    rows = [[*kind, str(count)] for kind, count in kinds.items()]
    if rows:
        print(as_text([["model", "data", "stage", "work of each", "points"], *rows]), end="")
    print(f"{len(left)} of {len(laid.points)} points to run, {slots} at a time: {laid.root}")
    known = f"about {in_words(seconds)}" if unknown < len(left) or not left else "not known yet"
    more = f"; not known yet for {unknown} points" if 0 < unknown < len(left) else ""
    print(f"time: {known}{more}{' (the first finished points tell)' if unknown else ''}")
    for line in foreseen(laid.study):
        print(f"warning: {line}")
    return 0


def _amount(work: tuple[str, float]) -> str:
    unit, length = work
    return f"{length:g} {unit}s" if unit in ("update", "epoch") else "no training"


def _status(laid: Laid, arguments: Namespace) -> int:
    states = {p.name: _state(laid, p.name) for p in laid.points}
    failed = {n: laid.folders[n].read("failed") for n, s in states.items() if s == "failed"}
    if arguments.json:
        _output.print_json({"points": states, "failed": failed})
        return 0
    columns = ("done", "running", "failed", "waiting")
    count = Counter((p.model, p.data, p.stage, states[p.name]) for p in laid.points)
    rows = [
        [*kind, *(str(count[(*kind, state)] or "") for state in columns)]
        for kind in dict.fromkeys((p.model, p.data, p.stage) for p in laid.points)
    ]
    print(as_text([["model", "data", "stage", *columns], *rows]), end="")
    for name, report in failed.items():
        print(f"failed: {name}: {(report or {}).get('what')}")
        for line in (report or {}).get("lines", [])[-3:]:
            print(f"    {line}")
    for folder in laid.strangers[:3]:
        print(f"not of this study: {folder.path}")
    done = sum(state == "done" for state in states.values())
    print(f"{done} of {len(states)} points are done: {laid.root}")
    return 0


def _state(laid: Laid, name: str) -> str:
    folder = laid.folders[name]
    if folder.is_done:
        return "done"
    if folder.is_busy:
        return "running"
    return "failed" if folder.read("failed") else "waiting"


def _clean(laid: Laid, arguments: Namespace) -> int:
    strange = [folder for folder in laid.strangers if not folder.is_busy]
    size = 0
    for folder in strange:
        mine = sum(p.stat().st_size for p in folder.path.rglob("*") if p.is_file())
        size += mine
        print(f"{folder.path}  {_output.in_units(mine)}")
        if arguments.yes:
            shutil.rmtree(folder.path)
    said = "removed" if arguments.yes else "to be removed with --yes"
    print(f"{len(strange)} points, {_output.in_units(size)}, {said}: {laid.root}")
    return 0
