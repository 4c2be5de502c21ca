"""Files that are small and unpack to much: memory and time stay bounded."""

import gzip
import io
import lzma
import resource
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.corpus import bounds, packed
from scripts.corpus.pairs import lines_of
from tests.cli.models import checkpoint

MEGABYTE = 1 << 20
ALLOWED = 48 * MEGABYTE  # beyond what a sound file takes
SIZE = 100 * MEGABYTE  # of zeros


def rewrite(source: Path, target: Path, compression: int, padding: int = 0) -> None:
    """A checkpoint's archive, its records compressed, that of the pickle with zeros behind it."""
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(target, "w", compression, compresslevel=1) as new,
    ):
        for entry in old.infolist():
            data = old.read(entry)
            with new.open(entry.filename, "w", force_zip64=True) as record:
                record.write(data)
                left = padding if entry.filename.endswith("data.pkl") else 0
                while left > 0:
                    record.write(bytes(MEGABYTE))
                    left -= MEGABYTE


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bomb")
    torch.save(checkpoint(), folder / "sound.pt")
    rewrite(folder / "sound.pt", folder / "bomb.pt", zipfile.ZIP_DEFLATED, SIZE)
    assert (folder / "bomb.pt").stat().st_size < 2 * MEGABYTE
    return folder / "bomb.pt"


PROBE = """
import resource, sys
from _fairseq_prune_compat.loading import CheckpointRefused, safe_load
from fairseq_prune.cli.main import main
bomb, sound = sys.argv[1:]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert main(["inspect", sound]) == 0
before = peak()
assert main(["inspect", bomb]) == 2 and main(["verify", bomb]) == 2
try:
    safe_load(bomb, map_location="cpu")  # as fairseq does
except CheckpointRefused as error:
    assert "compressed records" in str(error)
else:
    sys.exit("it was read")
print("grew", peak() - before)
"""


def test_a_checkpoint_of_compressed_records_is_not_unpacked(bomb: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, bomb, bomb.with_name("sound.pt")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "is refused: it has compressed records, which torch does not write" in done.stderr
    assert int(done.stdout.split()[-1]) * 1024 < ALLOWED


def test_records_that_lie_on_each_other_are_refused(tmp_path: Path) -> None:
    """Every entry of the directory says that its data are those of the largest one."""
    from _fairseq_prune_compat.records import Grows, check_records

    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a/data/0", bytes(10_000))
        for number in range(1, 5):
            made.writestr(f"a/data/{number}", b"x")
        first = made.infolist()[0]
        for entry in made.infolist():
            entry.header_offset, entry.file_size = first.header_offset, first.file_size
            entry.compress_size, entry.CRC = first.compress_size, first.CRC
    with pytest.raises(Grows, match="claims 50,000 bytes of records in a file of 1"):
        check_records(path)


def peak_growth() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def zeros(path: Path, size: int, opener: Any, **fast: int) -> Path:
    with opener(path, "wb", **fast) as file:
        for _ in range(size // MEGABYTE):
            file.write(bytes(MEGABYTE))
    return path


@pytest.mark.parametrize(
    "suffix, opener, fast",
    [(".gz", gzip.open, {"compresslevel": 1}), (".xz", lzma.open, {"preset": 0})],
)
def test_a_packed_text_without_line_ends_takes_no_memory(
    suffix: str, opener: Any, fast: dict[str, int], tmp_path: Path
) -> None:
    path = zeros(tmp_path / f"train.de{suffix}", 60 * MEGABYTE, opener, **fast)
    before = peak_growth()
    with pytest.raises(ValueError, match="line 1 is longer than 1,048,576 bytes: no sentence"):
        list(lines_of({"train.de": path}, "train.de"))
    assert peak_growth() - before < ALLOWED


def test_a_packed_text_of_nothing_but_line_ends_stops(tmp_path: Path) -> None:
    path = tmp_path / "train.de.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(80):
            file.write(b"\n" * 16_384 * 64)
    with pytest.raises(ValueError, match="unpacks to more than 100 times its size"):
        with packed.opened(path) as unpacked:
            while unpacked.read(MEGABYTE):
                pass


def archive(path: Path, *members: tuple[str, int]) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as made:
        for name, size in members:
            info = tarfile.TarInfo(name)
            info.size = size
            made.addfile(info, io.BytesIO(bytes(size)))
    return path


def test_an_archive_full_of_zeros_stops_before_the_member_that_is_wanted(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", ("big", 80 * MEGABYTE), ("train.de", 3))
    before = peak_growth()
    with pytest.raises(ValueError, match="unpacks to more than"):
        with packed.member(path, "train.de"):
            pass
    assert peak_growth() - before < ALLOWED


def test_a_header_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 5 << 30
    with gzip.open(path, "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(10 * 512))
    with pytest.raises(ValueError, match="asks for 5,368,7.* bytes at once: it is damaged"):
        with packed.member(path, "x"):
            pass


@pytest.mark.parametrize("name", ["../../out", "/tmp/out", "a/../../out"])
def test_an_archive_writes_nothing_whatever_its_members_are_called(
    name: str, tmp_path: Path
) -> None:
    path = archive(tmp_path / "a.tgz", (name, 3))
    before = sorted(tmp_path.parent.iterdir())
    with packed.member(path, name) as file:
        assert file.read(3) == bytes(3)
    assert sorted(tmp_path.iterdir()) == [path] and sorted(tmp_path.parent.iterdir()) == before


def test_a_test_set_of_beginnings_only_is_read_in_no_time(tmp_path: Path) -> None:
    path = tmp_path / "test.sgm"
    path.write_text("<seg>\n" * 200_000 + "<seg <seg " * 100_000 + "\n<seg id='1'>so</seg>\n")
    assert len(list(lines_of({"test.sgm": path}, "test.sgm"))) == 1


def test_a_test_set_of_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "WHOLE", 1000)
    (tmp_path / "test.sgm").write_text("<seg>a</seg>\n" * 100)
    with pytest.raises(ValueError, match="test.sgm is larger than 1,000 letters: no test set"):
        list(lines_of({"test.sgm": tmp_path / "test.sgm"}, "test.sgm"))
