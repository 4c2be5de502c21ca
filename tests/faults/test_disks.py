"""A disk that is full or may not be written, for real: a small one is mounted."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairseq_prune.cli._output import check_output
from fairseq_prune.files.folder import check_folder
from tests.conftest import ARCHES, TRAINING
from tests.faults.test_kills import GRADUAL
from tests.faults.trainings import Case, Fresh

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a disk in memory, or changes what it can do."""
    place = tmp_path / "disk"

    def call(options: str) -> Path:
        place.mkdir(exist_ok=True)
        again = "remount," if place.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        return place

    yield call
    if place.is_mount():
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_a_run_on_a_full_disk_says_so_and_goes_on_to_the_same_end(
    corpus: Path, tmp_path: Path, mount: Mount, arch: str
) -> None:
    mount("size=1m")  # holds the files of one save, not those of two
    flags = [corpus, *ARCHES[arch], *TRAINING, *GRADUAL, "--max-update", 8]
    case = Case(flags, tmp_path, Fresh)
    code, said = case.end("disk/run")
    assert code == 1 and case.updates("disk/run") == 2
    # which of a save's files finds no room depends on their sizes
    assert re.fullmatch(
        f"fairseq_prune: {re.escape(str(tmp_path))}/disk/run/checkpoint_(1_4|best|last).pt could "
        "not be written: no space is left on the disk. What was saved before is as it was: mend "
        "that, and the same command goes on from the last checkpoint.",
        said.strip().splitlines()[-1],
    )
    assert "Traceback" not in said
    mount("size=8m")
    case.finish("disk/run")
    case.finish("straight")
    assert case.differences("straight", "disk/run") == []


@pytest.mark.slow
def test_a_save_dir_that_is_read_only_is_refused_before_anything_is_read(
    corpus: Path, tmp_path: Path, mount: Mount
) -> None:
    place = mount("size=1m,ro") / "run"
    flags = [corpus, *ARCHES["lstm"], *TRAINING, *GRADUAL, "--max-update", 8]
    code, said = Case(flags, tmp_path, Fresh).end("disk/run")
    assert code == 1 and said.strip().splitlines()[-1] == (
        f"fairseq_prune: --save-dir {place} cannot be written: Read-only file system; give a "
        "folder that can."
    )
    assert "Traceback" not in said and "dictionary" not in said


def test_outputs_on_a_disk_that_is_read_only_are_refused(mount: Mount) -> None:
    place = mount("size=1m,ro")
    with pytest.raises(ValueError, match="disk is no writable folder"):
        check_output(str(place / "out.pt"), force=False)
    with pytest.raises(ValueError, match="disk is no writable folder"):
        check_folder("--output", str(place / "study"))
