"""Watches what a test does: no program is started, nothing is written outside its folder."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.cli.main import main

_RUNS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect")
_WRITES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod")
_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_watching: list[tuple[Path, list[str]]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    folder, seen = _watching[-1]
    if event in _RUNS:
        seen.append(f"{event} {arguments}")
    elif event in ("os.remove", "os.rmdir", "os.mkdir") and arguments[-1] >= 0:
        return  # within a folder that is open: shutil.rmtree goes down one that it may remove
    elif event in _WRITES or (event == "open" and (arguments[2] or 0) & _FLAGS):
        where = str(arguments[0])
        # hypothesis keeps what it finds, at its own time
        allowed = (str(folder), "/dev/", "/proc/self", os.path.abspath(".hypothesis"))
        if not isinstance(arguments[0], int) and not os.path.abspath(where).startswith(allowed):
            seen.append(f"{event} {where}")


sys.addaudithook(_hook)  # for good, as Python has it: it looks at nothing while nobody watches


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The only folder that may be written to."""
    return tmp_path_factory.mktemp("untrusted")


@pytest.fixture
def watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was run, or written outside the folder; a test ends well where it is empty."""
    seen: list[str] = []
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    _watching.append((folder, seen))
    yield seen
    _watching.pop()
    assert seen == []


Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], watched: list[str]) -> Call:
    """Calls ``fairseq-prune``: exit code and stderr, which is one sentence where it refuses."""

    def run(*arguments: Any) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        err = capsys.readouterr().err
        assert code in (0, 1, 2), err
        if code == 2:
            assert err.startswith("fairseq-prune: ") and err.count("\n") == 1, err
        return code, err

    return run
