"""Multi30k's files: found packed or plain, fetched, refused."""

import gzip
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairseq_prune.study.model_file import read_flags
from scripts.multi30k import subwords

ROOT = Path(__file__).resolve().parents[2]
PREPROCESS = """#!/usr/bin/env bash
while (($#)); do if [[ $1 == --destdir ]]; then mkdir -p "$2"; fi; shift; done
"""


def prepare(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The outcome of prepare.sh with a stand-in for fairseq-preprocess."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "fairseq-preprocess").write_text(PREPROCESS)
    (programs / "fairseq-preprocess").chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(ROOT / "scripts/multi30k/prepare.sh"), str(folder / "out")],
        env={**os.environ, "PATH": path, "PIECES": "200", **environment},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def source(folder: Path) -> Path:
    """A folder with the six files: plain, .gz and .xz."""
    where = folder / "source"
    where.mkdir()
    for language in ("de", "en"):
        words = [f"{language}{n} wort{n % 97} haus{n % 31} {n}." for n in range(6000)]
        text = ("\n".join(words) + "\n").encode()
        (where / f"train.{language}").write_bytes(text)
        (where / f"val.{language}.gz").write_bytes(gzip.compress(b"ein Hund\n"))
        (where / f"test_2016_flickr.{language}.xz").write_bytes(lzma.compress(b"zwei Hunde\n"))
    return where


def test_packed_and_plain_files_are_taken_and_a_second_run_does_nothing(tmp_path: Path) -> None:
    folder = source(tmp_path)
    done = prepare(tmp_path, MULTI30K_DIR=str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    out = tmp_path / "out"
    assert done.stdout == f"multi30k: ready for fairseq-train: {out}/data-bin\n"
    assert (out / "raw/valid.de").read_text() == "ein Hund\n"
    assert (out / "raw/test.en").read_text() == "zwei Hunde\n"
    pieces = (out / "spm/test.de").read_text().splitlines()
    assert pieces[0].replace(" ", "").replace("\u2581", " ") == " zwei Hunde"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = prepare(tmp_path, MULTI30K_DIR=str(tmp_path / "gone"))
    assert again.returncode == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = source(tmp_path)
    (folder / "val.en.gz").unlink()
    done = prepare(tmp_path, MULTI30K_DIR=str(folder))
    assert done.returncode == 2
    assert done.stderr == (
        f"multi30k: MULTI30K_DIR={folder} has no val.en, val.en.gz or val.en.xz.\n"
    )


def test_sides_that_do_not_match_are_refused(tmp_path: Path) -> None:
    folder = source(tmp_path)
    (folder / "val.en.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    done = prepare(tmp_path, MULTI30K_DIR=str(folder))
    assert done.returncode == 2
    assert done.stderr == (
        "multi30k: val.de and val.en have different numbers of lines; one is damaged.\n"
    )


def test_files_are_fetched_from_where_the_url_says(tmp_path: Path) -> None:
    folder = source(tmp_path)
    for path in list(folder.iterdir()):
        text = lzma.open(path).read() if path.suffix == ".xz" else path.read_bytes()
        packed = text if path.suffix == ".gz" else gzip.compress(text)
        name = path.name if path.suffix in (".de", ".en") else path.stem
        (folder / f"{name}.gz").write_bytes(packed)
    done = prepare(tmp_path, MULTI30K_URL=folder.as_uri(), MULTI30K_DIR="")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out/raw/test.de").read_text() == "zwei Hunde\n"
    assert not list((tmp_path / "out/raw").glob("*.gz"))


def test_without_a_network_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    done = prepare(tmp_path, MULTI30K_URL="http://127.0.0.1:9/raw", MULTI30K_DIR="")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "multi30k: http://127.0.0.1:9/raw/train.de.gz could not be fetched"
    )
    assert done.stderr.endswith("; set MULTI30K_DIR to a folder with the files.\n")
    assert done.stderr.count("\n") == 1


def test_too_little_text_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = prepare(tmp_path, MULTI30K_DIR=str(source(tmp_path)), PIECES="90000")
    assert done.returncode == 2
    assert done.stderr.startswith("subwords: ") and done.stderr.count("\n") == 1


def test_only_a_line_feed_ends_a_line_of_pieces(tmp_path: Path) -> None:
    folder = source(tmp_path)
    for language in ("de", "en"):
        with lzma.open(folder / f"test_2016_flickr.{language}.xz", "wt", encoding="utf-8") as file:
            file.write("ein\u2028Hund\nzwei\n")
    prepare(tmp_path, MULTI30K_DIR=str(folder))
    assert (tmp_path / "out/spm/test.de").read_text().count("\n") == 2


def test_the_pieces_do_not_depend_on_the_machine() -> None:
    # the sums behind the pieces depend on the number of threads, which must not be the cores'
    assert subwords.THREADS == 16


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_retraining_takes_a_third_of_the_epochs_at_half_the_rate(model: str) -> None:
    for study in ("multi30k", "embedded"):
        path = ROOT / "configs/train" / study / f"{model}.yaml"
        parts = [read_flags(path, [part]) for part in ("dense", "retrain")]
        rates = [float(part.get("lr") or 0) for part in parts]
        epochs = [int(part.length[1]) for part in parts]
        assert rates[1] == rates[0] / 2
        assert round(epochs[0] / 3) == epochs[1]
