"""Does one point: runs its command, evaluates what that leaves, and writes down how it went.

A process of its own, on this machine or another.
"""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from fairseq_prune.checkpoints.resume import LAST, is_trained
from fairseq_prune.evaluation import results
from fairseq_prune.files.lock import held
from fairseq_prune.files.text import last_lines
from fairseq_prune.files.writing import file_digest, write_text
from fairseq_prune.network.options import HALF
from fairseq_prune.study import forks
from fairseq_prune.study.commands import OURS, TRAIN, runnable
from fairseq_prune.study.cpu_time import EVERY, SPENT, Spent, cpu_seconds
from fairseq_prune.study.folder import Folder
from fairseq_prune.study.scoring import EVALUATE, SCORINGS, scored

OK, FAILED, BUSY = 0, 1, 75  # 75 is EX_TEMPFAIL: another process is at work on the point
_PATIENCE = 5.0  # seconds: status and other runs hold a point for a moment, to look


def work(path: str, gpus: int = 1, cpu: bool = False) -> int:
    """Do what is left of the point in this folder; OK, FAILED or BUSY.

    Args:
        gpus: of its training; with ``cpu``, processes.
        cpu: leave GPUs alone.
    """
    folder = Folder(Path(path))
    with held(folder.path, _PATIENCE) as descriptor:
        if descriptor is None:
            return BUSY
        point = folder.read("point")
        if point is None:
            raise ValueError(f"{path} is no point of a study: it has no point.json.")
        if folder.is_done:
            return OK
        try:
            _check_file(point)
            if not folder.is_made:
                _make(folder, point, descriptor, gpus, cpu)
            _tidy(folder, point)
            _evaluate(folder, point, cpu)
        except _Failed as failure:
            folder.write("failed", failure.report)
            return FAILED
        except (ValueError, OSError, RuntimeError) as error:
            made = "evaluation" if folder.is_made else "command"
            what = f"its {made} failed: {error}"
            folder.write("failed", {"what": what, "lines": [], "log": None, "time": time.time()})
            return FAILED
    return OK


class _Failed(Exception):
    def __init__(self, what: str, log: Path) -> None:
        super().__init__(what)
        self.report = {
            "what": what,
            "lines": last_lines(log),
            "log": str(log),
            "time": time.time(),
        }


def how_it_ended(code: int) -> str:
    """What the exit code of a process says, for people; a negative one is a signal."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _check_file(point: dict[str, Any]) -> None:
    """Raise ValueError where the checkpoint that the study starts from is another one by now."""
    file = point.get("file")
    if file is None:
        return
    path, digest = str(file["path"]), str(file["sha256"])
    if not Path(path).is_file() or file_digest(path) != digest:
        raise ValueError(
            f"{path} is no longer the file that the study began with (SHA-256 {digest[:8]}...): "
            "bring it back, or start a study of the new one in another --output"
        )


def _make(folder: Folder, point: dict[str, Any], descriptor: int, gpus: int, cpu: bool) -> None:
    words, spent = list(point["command"]), Spent(folder)
    if not words:  # it was there before the study
        folder.write("made", {"seconds": 0.0, "gpus": gpus, "cpu": None})
        return
    if words[0] == TRAIN and is_trained(folder.path, point["result"]):
        folder.write("made", {"seconds": None, "gpus": gpus, "cpu": spent.before})
        return
    trains = words[0] == TRAIN or words[:2] == [OURS, "tickets"]
    if folder.read("made") is not None:  # and what it left was removed: tickets would not look
        shutil.rmtree(folder.path / "tickets", ignore_errors=True)
    # fairseq adds to its log when it goes on; other commands start again
    log = folder.path / ("train.log" if trains else "make.log")
    if cpu and trains:
        words = [*(word for word in words if word not in HALF), "--cpu"]
        if gpus > 1:  # what works without GPUs
            words += ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]
    goes_on = (folder.path / LAST).exists() or (folder.path / "tickets").exists()
    begin = time.monotonic()  # other clocks are set
    with log.open("ab" if trains else "wb") as file:
        file.write(f"$ {subprocess.list2cmdline(words)}\n".encode())
        file.flush()
        code = _run(words, file, descriptor, gpus, cpu, spent.note)
    used = spent.end()
    if code:
        raise _Failed(f"{words[0]} {how_it_ended(code)}", log)
    if not (folder.path / point["result"]).is_file():
        raise _Failed(f"{words[0]} left no {point['result']}", log)
    # the time of a run that was cut and went on says nothing of what such runs take
    seconds = round(time.monotonic() - begin, 2) if not goes_on else None
    folder.write("made", {"seconds": seconds, "gpus": gpus, "cpu": used})
    folder.remove(SPENT)


def _run(
    words: list[str], log: BinaryIO, descriptor: int, gpus: int, cpu: bool,
    note: Callable[[int], None],
) -> int:  # fmt: skip
    """The exit code of a command; what outlives this process still holds the point.

    Args:
        note: is told the process's number now and then.
    """
    if cpu and gpus == 1:
        return forks.run(words, log, note, EVERY)
    process = subprocess.Popen(
        runnable(words, gpus), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        pass_fds=(descriptor,),
    )  # fmt: skip
    while True:
        try:
            return process.wait(EVERY)
        except subprocess.TimeoutExpired:
            note(process.pid)


def _evaluate(folder: Folder, point: dict[str, Any], cpu: bool) -> None:
    begin, settings, score = time.monotonic(), point["evaluate"], None
    if settings is not None:
        folder.remove("done")  # while rows of two settings may be there
        output, result = str(folder.path / "results.jsonl"), str(folder.path / point["result"])
        scoring = str(point.get("scoring", EVALUATE))
        row = scored(scoring, result, settings, cpu, point["tags"], output)
        made = folder.read("made") or {}
        if made.get("cpu") is not None:  # earlier versions did not count it
            row = {**row, "cpu_hours": round(made["cpu"] / 3600, 5)}
        score = SCORINGS[scoring].shown(row)
        # rows of other settings, or of a checkpoint that was made again, are no results of it
        if results.read(output, score=SCORINGS[scoring].score) != [row]:
            write_text(Path(output), results.line_of(row))
    seconds = round(time.monotonic() - begin, 2)
    took = {"seconds": seconds, "cpu": round(cpu_seconds(), 2), "time": time.time()}
    folder.write("done", {"evaluate": settings, "score": score, **took})


def _tidy(folder: Folder, point: dict[str, Any]) -> None:
    """Remove what only a training that goes on would need, where the study says so."""
    if point["keep"] == "evaluated":
        for path in folder.path.glob("checkpoint_*.pt"):
            if path.name != point["result"]:
                path.unlink()
