"""COMET beside BLEU. Its program lives in an environment of its own: here stands a small one that
is called, reads and answers as comet-score does; the real one is tried where it is on the PATH."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from fairseq_prune.cli.main import main
from fairseq_prune.report.comet import CACHE, PROGRAM, with_comet
from fairseq_prune.report.points import read_points
from tests.report.rows import with_texts

# scores a sentence by the share of the reference's words that it has
STAND_IN = """#!{python}
import json, pathlib, sys
words = sys.argv[1:]
flags = {{w: [] for w in words if w.startswith("-")}}
for word in words:
    (flags[last] if word not in flags else []).append(word)
    last = word if word in flags else last
assert list(flags) == ["-s", "-t", "-r", "--model", "--gpus", "--to_json", "--quiet"], flags
def lines(name):
    with open(name, encoding="utf-8") as file:
        return [line.strip() for line in file.readlines()]
sources, references = lines(flags["-s"][0]), lines(flags["-r"][0])
found = {{}}
for name in flags["-t"]:
    assert len(lines(name)) == len(sources) == len(references)
    found[name] = [
        {{"COMET": len(set(a.split()) & set(b.split())) / len(set(b.split()))}}
        for a, b in zip(lines(name), references)
    ]
pathlib.Path({calls!r}).open("a").write("called\\n")
pathlib.Path(flags["--to_json"][0]).write_text(json.dumps(found))
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-in, which is on the PATH, writes of its calls."""
    program, log = tmp_path / "bin" / PROGRAM, tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable, calls=str(log)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return log


def test_translations_are_scored_once_in_a_life_and_the_table_has_it(
    tmp_path: Path, calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, model = with_texts(tmp_path / "m", ("1", "2")), tmp_path / "model.ckpt"
    model.write_bytes(b"weights")
    words = ["report", str(path), "--output", str(tmp_path / "out"), "--comet", str(model)]
    assert main(words) == 0
    assert "COMET model.ckpt|sha256:" in capsys.readouterr().out
    head, *rows = (tmp_path / "out" / "table.csv").read_text().splitlines()
    assert "BLEU,BLEU sd,BLEU median,COMET,COMET sd" in head
    by_bleu = sorted((float(r.split(",")[5]), float(r.split(",")[8])) for r in rows)
    assert [comet for _, comet in by_bleu] == sorted(comet for _, comet in by_bleu)
    assert calls.read_text() == "called\n"  # all systems of a test set at a time
    assert main(words) == 0 and calls.read_text() == "called\n"
    kept = (path.parent / CACHE).read_text().splitlines()
    # a cut line costs its own translations only, another model all of them
    (path.parent / CACHE).write_text("\n".join([*kept[:-1], kept[-1][:20]]))
    points = with_comet(read_points([path]), str(model))
    assert all("comet" in p.row for p in points) and calls.read_text() == "called\n" * 2
    model.write_bytes(b"other weights")
    with_comet(read_points([path]), str(model))
    assert calls.read_text() == "called\n" * 3


def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, calls: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, model = with_texts(tmp_path / "m"), tmp_path / "model.ckpt"
    words = ["report", str(path), "--output", str(tmp_path / "out"), "--comet", str(model)]

    def said() -> str:
        assert main(words) == 2 and not (tmp_path / "out").exists()
        return capsys.readouterr().err

    assert "model.ckpt is not a file; give a model of COMET" in said()
    model.write_bytes(b"weights")
    program = Path(str(shutil.which(PROGRAM)))
    program.write_text("#!/bin/sh\necho it is broken\nexit 3\n")
    assert "ended with exit code 3 and left no scores; it said: it is broken" in said()
    monkeypatch.setenv("PATH", "/nowhere")
    assert "needs the program comet-score on the PATH" in said()
