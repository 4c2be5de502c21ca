"""fairseq's own saving of checkpoints, on a disk that fails."""

import builtins
import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("fairseq")

from fairseq import checkpoint_utils  # noqa: E402

STATE = {"model": {"w": torch.arange(50_000)}}


class Failing:
    """A file that takes 1000 bytes, and then no more."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, data: Any) -> int:
        self.file.write(memoryview(data)[:1000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Failing":
        return self

    def __exit__(self, *_: Any) -> None:
        self.file.close()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many files more cannot be written, of those that are opened for it."""
    left, original = {"failures": 0}, builtins.open

    def open(name: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        file = original(name, mode, *args, **options)
        if "w" in mode and "checkpoint" in str(name) and left["failures"]:
            left["failures"] -= 1
            return Failing(file)
        return file

    monkeypatch.setattr(builtins, "open", open)
    return left


def old(folder: Path) -> Path:
    checkpoint_utils.torch_persistent_save({"model": {}}, str(folder / "checkpoint_1_2.pt"))
    return folder / "checkpoint_1_2.pt"


def test_a_save_that_fails_once_is_repeated_from_its_beginning(
    tmp_path: Path, disk: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    path = old(tmp_path)
    disk["failures"] = 1
    checkpoint_utils.torch_persistent_save(STATE, str(path))
    assert torch.equal(torch.load(path)["model"]["w"], STATE["model"]["w"])
    assert f"{path} could not be written: no space is left on the disk" in caplog.text
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("copied", [False, True])
def test_a_save_that_fails_ends_the_run_and_leaves_what_there_was(
    tmp_path: Path, disk: dict[str, int], copied: bool
) -> None:
    path, other = old(tmp_path), tmp_path / "checkpoint_other.pt"
    other.write_bytes(b"something else")
    before = path.read_bytes()
    disk["failures"] = 9
    with pytest.raises(SystemExit, match=f"{path} could not be written: no space is left on the"):
        if copied:
            checkpoint_utils.PathManager.copy(str(other), str(path), overwrite=True)
        else:
            checkpoint_utils.torch_persistent_save(STATE, str(path))
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == [path.name, other.name]


def test_what_cannot_be_pickled_is_no_matter_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises((AttributeError, TypeError)):
        checkpoint_utils.torch_persistent_save({"model": lambda: 0}, str(tmp_path / "a.pt"))
    assert os.listdir(tmp_path) == []


def test_a_save_dir_that_cannot_be_written_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "run"
    with pytest.raises(SystemExit, match=f"--save-dir {place} cannot be written: .*directory"):
        checkpoint_utils.verify_checkpoint_directory(str(place))
