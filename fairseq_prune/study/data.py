"""The data of a study: prepared once, and the same ones ever after."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fairseq_prune.files.lock import awaited
from fairseq_prune.files.text import last_lines
from fairseq_prune.files.writing import file_digest, write_text
from fairseq_prune.study.executors import Process
from fairseq_prune.study.grid import points_of
from fairseq_prune.study.scoring import SCORINGS
from fairseq_prune.study.settings import DataSet, Study


def prepare(study: Study, folder: Path, say: Callable[[str], None]) -> dict[str, DataSet]:
    """The data sets with their places, made where a script makes them.

    Args:
        folder: of the study.

    Raises ValueError where a script fails, or data are not there.
    """
    ready = {}
    for name, data in study.data.items():
        mine = folder / "data" / name
        placed = data.at(mine)
        if data.prepare is not None:
            _prepare(data, mine, say)
        for doubt in _doubts(study, placed):
            say(f"warning: data {name}: {doubt}")
        ready[name] = placed
    return ready


def _doubts(study: Study, data: DataSet) -> list[str]:
    """What hardly goes with the data; raises ValueError for what cannot work with them."""
    # what is wrong with the folder is said in the words of evaluate
    doubts = SCORINGS[study.scoring].doubts(study.settings(data).check())
    trained = [*data.bin.glob("train*"), *data.bin.glob("input0/train*")]
    if not trained and any(point.training for point in points_of(study)):
        raise ValueError(
            f"{data.bin} has no training data (train.*), and the study trains; give the folder "
            "that fairseq-preprocess wrote."
        )
    return doubts


def foreseen(study: Study) -> list[str]:
    """Sentences on data that no script makes: what a run would refuse them for, or warn of."""
    found = []
    for name, data in study.data.items():
        if data.prepare is not None:
            continue
        try:
            doubts = _doubts(study, data)
        except ValueError as error:
            doubts = [f"no run is possible yet: {error}"]
        found += [f"data {name}: {doubt}" for doubt in doubts]
    return found


def _prepare(data: DataSet, folder: Path, say: Callable[[str], None]) -> None:
    """Run the script, unless it has been; where another run does, wait for that."""
    # the script's last step is over when it says so, not when there is a folder
    ready = folder.with_name(f"{data.name}.ready")
    if ready.is_file():
        return
    told = f"another run, or what one left, is making the data {data.name}: waiting"
    with awaited(folder.with_name(f".{data.name}"), lambda: say(told)) as descriptor:
        if not ready.is_file():
            _run(data, folder, descriptor, say)
            write_text(ready, f"made by {data.prepare}\n")


def _run(data: DataSet, folder: Path, descriptor: int, say: Callable[[str], None]) -> None:
    log = folder.with_name(f"{data.name}.log")
    say(f"making the data {data.name}: bash {data.prepare} {folder} >{log}")
    # fairseq-preprocess is where this Python is
    programs = str(Path(sys.executable).parent)
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    with log.open("wb") as file:
        script = Process(
            subprocess.Popen(
                ["bash", str(data.prepare), str(folder)],
                env={**os.environ, "PATH": path, "PROGRAMS": programs},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=(descriptor,),
                start_new_session=True,
            )
        )
        try:
            script.process.wait()
        except BaseException:
            script.stop()
            raise
    if script.process.returncode:
        raise ValueError(
            f"{data.prepare} {script.how()}; its log {log} ends: {' / '.join(last_lines(log, 3))}"
        )


def digest(data: DataSet) -> str:
    """A digest of all that is in the data, and of the reference."""
    kinds = (".bin", ".idx", ".txt")
    files = [p for p in sorted(data.bin.iterdir()) if p.suffix in kinds]
    # those of classifiers are in folders of their own
    files = files or [p for p in sorted(data.bin.rglob("*")) if p.suffix in kinds]
    named = [(str(path.relative_to(data.bin)), path) for path in files]
    # these may be elsewhere
    named += [(path.name, path) for path in (data.reference, *data.also.values()) if path]
    total = hashlib.sha256()
    for name, path in named:
        total.update(f"{name} {file_digest(path)}\n".encode())
    return total.hexdigest()[:16]
