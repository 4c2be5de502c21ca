"""scripts/data/prepare_embedded.sh and the start vectors it makes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "scripts" / "data"
sys.path.insert(0, str(DATA))

import embedded_vectors  # noqa: E402  (found through the line above)


def prepare(directory: Path) -> subprocess.CompletedProcess[str]:
    """A run of the script on a small corpus, with this interpreter's programs first on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(DATA / "prepare_embedded.sh"), str(directory)],
        env={**os.environ, "PATH": path, "PAIRS": "1000", "VOCAB": "500"},
        capture_output=True,
        text=True,
        check=True,
    )


def test_vectors_have_a_head_and_a_line_for_each_word() -> None:
    lines = list(embedded_vectors.vectors(["a", "b"], size=3, deviation=0.5, seed=1))
    assert lines[0] == "2 3"
    assert [line.split()[0] for line in lines[1:]] == ["a", "b"]
    assert all(len(line.split()) == 4 for line in lines[1:])


def test_vectors_depend_on_the_seed_only() -> None:
    draw = [list(embedded_vectors.vectors(["a"], 4, 0.5, seed)) for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]


def test_vectors_have_the_deviation_asked_for() -> None:
    head, line = embedded_vectors.vectors(["a"], size=4000, deviation=0.5, seed=1)
    assert abs(statistics.pstdev(map(float, line.split()[1:])) - 0.5) < 0.03


def test_a_missing_dictionary_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost, out = str(tmp_path / "dict.txt"), tmp_path / "vectors.txt"
    assert embedded_vectors.main(["--dictionary", lost, "--output", str(out)]) == 2
    assert lost in capsys.readouterr().err
    assert not out.exists()


def test_the_script_without_a_folder_says_how_to_call_it() -> None:
    script = str(DATA / "prepare_embedded.sh")
    done = subprocess.run(["bash", script], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("Usage:")


def test_another_seed_is_refused_before_any_work(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", str(DATA / "prepare_embedded.sh"), str(tmp_path / "new")],
        env={**os.environ, "SEED": "2"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "SEED=2: the corpus is that of seed 1" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_script_prepares_skips_what_is_done_and_mends_what_was_lost(tmp_path: Path) -> None:
    directory = tmp_path / "corpus"
    first = prepare(directory)
    assert str(directory / "data-bin") in first.stdout.splitlines()[-1]
    made = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    assert not [path for path in made if ".part" in path.name]
    prepare(directory)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    lost = directory / "data-bin" / "test.de-en.en.idx"
    lost.unlink()
    prepare(directory)
    assert lost.exists()
    assert (directory / "raw" / "train.de").stat().st_mtime_ns == made[
        directory / "raw" / "train.de"
    ]
