"""The data of a study: prepared once, and the same ones ever after."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fairseq_prune.analysis.files import write_text
from fairseq_prune.analysis.settings import file_digest
from fairseq_prune.study.folder import held
from fairseq_prune.study.settings import DataSet, Study
from fairseq_prune.study.worker import last_lines


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
        # the script's last step is over when it says so, not when there is a folder
        ready_mark = mine.with_name(f"{name}.ready")
        if data.prepare is not None and not ready_mark.is_file():
            _run(data, mine, say)
            write_text(ready_mark, f"made by {data.prepare}\n")
        # what is wrong with the folder is said in the words of evaluate
        study.settings(placed).check()
        ready[name] = placed
    return ready


def _run(data: DataSet, folder: Path, say: Callable[[str], None]) -> None:
    log = folder.with_name(f"{data.name}.log")
    with held(folder.with_name(f".{data.name}")) as descriptor:
        if descriptor is None:
            raise ValueError(f"another run is making the data in {folder}; wait for it.")
        say(f"making the data {data.name}: bash {data.prepare} {folder}")
        # fairseq-preprocess is where this Python is
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        with log.open("wb") as file:
            code = subprocess.run(
                ["bash", str(data.prepare), str(folder)],
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=(descriptor,),
            ).returncode
        if code:
            raise ValueError(
                f"{data.prepare} ended with exit code {code}; its log {log} ends: "
                f"{' / '.join(last_lines(log)[-3:])}"
            )


def digest(data: DataSet) -> str:
    """A digest of all that is in the data, and of the reference."""
    files = [p for p in sorted(data.bin.iterdir()) if p.suffix in (".bin", ".idx", ".txt")]
    if data.reference is not None:
        files.append(data.reference)
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.name} {file_digest(path)}\n".encode())
    return total.hexdigest()[:16]
