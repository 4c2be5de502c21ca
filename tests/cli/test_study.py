"""``fairseq-prune study`` with real runs of fairseq: whole, killed, failed, through submitit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.evaluation import results
from fairseq_prune.study.grid import points_of
from fairseq_prune.study.settings import read_study
from fairseq_prune.study.stages import ASKED, STAGES
from tests.conftest import run
from tests.models import news
from tests.study.studies import GRID, write_study
from tests.study.test_scoring import write_classifiers

OURS = [sys.executable, "-m", "fairseq_prune.cli.main"]
MEASURED = ("bleu", "chrf", "valid_ppl", "test_ppl", "length_ratio", "sparsity", "masks_digest")


def table(root: Path) -> dict[str, list[Any]]:
    """What was measured, by point."""
    found = {}
    for path in (root / "points").glob("*/results.jsonl"):
        (row,) = results.read(path)
        found[path.parent.name] = [row[name] for name in MEASURED]
    return found


def start(*words: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*OURS, "study", "run", *map(str, words), "--no-report"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_all(root: Path, process: "subprocess.Popen[bytes]") -> None:
    """kill -9 for the driver, its workers, and what these have started."""
    process.kill()
    process.wait()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                if str(root) in words:
                    os.kill(int(entry.name), signal.SIGKILL)
            except (OSError, ProcessLookupError):
                pass


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A study file, its finished folder, and what the run said."""
    folder = tmp_path_factory.mktemp("study")
    study = write_study(folder, data=str(corpus))
    return study, folder / "out", run(*_words("run", study, folder / "out"))


def _words(action: str, study: Path, root: Path, *more: str) -> list[Any]:
    return ["fairseq-prune", "study", action, study, "--output", root, *more]


def test_a_study_runs_reports_and_is_not_done_twice(finished: tuple[Path, Path, str]) -> None:
    study, root, said = finished
    assert f"all 3 points are done: {root}" in said and "started" in said
    rows = table(root)
    assert [name.split("-")[2] for name in sorted(rows)] == ["dense", "pruned", "retrained"]
    assert [row[-2] for _, row in sorted(rows.items())][1:] == [pytest.approx(0.5, abs=1e-4)] * 2
    assert (root / "report" / "index.html").is_file()
    again = run(*_words("run", study, root))
    assert "3 points were done before  [3 of 3]" in again and "started" not in again
    assert table(root) == rows


def test_status_and_plan_say_what_is_there(finished: tuple[Path, Path, str]) -> None:
    study, root, _ = finished
    assert f"3 of 3 points are done: {root}" in run(*_words("status", study, root))
    points = json.loads(run(*_words("status", study, root, "--json")))["points"]
    assert list(points.values()) == ["done"] * 3
    longer = write_study(study.parent / "more", GRID.replace("0.5", "[0.5, 0.8]"), "x", "[1, 2]")
    longer.write_text(longer.read_text().replace("bin: x", "bin: /nowhere"))
    plan = json.loads(run(*_words("plan", longer, root, "--json", "--jobs", "2")))
    assert (plan["done"], len(plan["run"]), plan["unknown"]) == (3, 7, 0)
    assert plan["seconds"] > 0


def test_a_plan_of_many_points_is_a_table(tmp_path: Path) -> None:
    grid = GRID.replace("0.5", "[0.1, 0.2, 0.3, 0.4]")
    study = write_study(tmp_path, grid, "nowhere", "[1, 2, 3]")
    lines = run(*_words("plan", study, tmp_path / "out", "--jobs", "2")).splitlines()
    assert [line.split()[-1] for line in lines[2:5]] == ["3", "12", "12"]
    assert f"27 of 27 points to run, 2 at a time: {tmp_path}/out" in lines
    assert len(lines) < 10 and not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(corpus: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path, data=str(corpus))
    said = run(*_words("run", study, "/proc/study"), fails=True)
    assert "/proc/study; when that is mended, the same command goes on." in said
    assert "Traceback" not in said


def test_clean_removes_what_the_file_does_not_name(
    finished: tuple[Path, Path, str], corpus: Path, tmp_path: Path
) -> None:
    _, root, _ = finished
    copy = tmp_path / "out"
    shutil.copytree(root, copy)
    study = write_study(tmp_path, GRID.replace("[pruned, retrained]", "pruned"), str(corpus))
    assert "has 1 points that" in run(*_words("run", study, copy), fails=True)
    assert "1 points, " in run(*_words("clean", study, copy))
    assert len(table(copy)) == 3
    run(*_words("clean", study, copy, "--yes"))
    assert len(table(copy)) == 2


def test_a_point_that_fails_is_reported_with_its_log(corpus: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path, data=str(corpus))
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("  lr: 0.01", "  no-such-flag: 1"))
    root = tmp_path / "out"
    said = run(*_words("run", study, root), fails=True)
    assert "unrecognized arguments: --no-such-flag 1" in said
    assert "0 of 3 points are done, 1 failed, 2 need" in said and "Traceback" not in said
    assert "fairseq-train ended with exit code 2" in run(*_words("status", study, root))


EVERY = """\
  - stages: [dense, longer, small]
  - {name: units, stages: retrained, schemes: class-uniform, structures: hidden, sparsities: 0.5}
  - {stages: [shrunk, control-retrained], kinds: reinit, schemes: class-uniform, structures: hidden,
     sparsities: 0.5}
  - {name: more, from: units, stages: [retrained, shrunk], schemes: class-blind, sparsities: 0.7}
  - {stages: sensitivity, schemes: class-blind, sparsities: 0.7}
  - {stages: control, kinds: [shuffle, random], schemes: class-blind, sparsities: 0.5}
  - {stages: [scratch, fresh], schemes: class-blind, sparsities: 0.5, section: small,
     flags: {lr: 0.02}}
  - {stages: retrained, schemes: class-blind, sparsities: 0.5,
     flags: {prune-start: 50%, criterion: label_smoothed_cross_entropy_growing}}
  - {stages: ticket, schemes: class-blind, sparsities: 0.5, rounds: [1, 2], rewind-to: 2}
"""


@pytest.mark.slow
def test_every_stage_is_made_scored_and_reported(corpus: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path, EVERY, str(corpus))
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text() + "small:\n  lr: 0.01\n  max-update: 4\n")
    # twenty points, minutes of them
    assert start(study, "--output", tmp_path / "out", "--jobs", "2").wait(timeout=1500) == 0
    points = {p.name: p for p in points_of(read_study(str(study)))}
    said = run("fairseq-prune", "report", tmp_path / "out")
    assert {p.stage for p in points.values()} == set(ASKED)
    rows = table(tmp_path / "out")
    assert set(rows) == {n for n, p in points.items() if STAGES[p.stage].evaluated}
    shown = {line.split("  ")[0] for line in said.splitlines()}
    assert {
        "dense", "dense, trained on", "dense of other settings",
        "pruned, class-blind, shuffle control", "pruned, class-blind, random control",
        "pruned + retrained, class-uniform, hidden, reinit control",
        "pruned + retrained, class-uniform, hidden, shrunk",
        "lottery ticket, class-blind, rounds=1", "lottery ticket, class-blind, rounds=2",
    } <= shown  # fmt: skip


@pytest.mark.slow
def test_a_study_of_classifiers_runs(tmp_path: Path) -> None:
    news.write_rows(tmp_path / "train.csv", 300, seed=1)
    news.write_rows(tmp_path / "test.csv", 100, seed=2)
    news.binarise(tmp_path, "--valid-share", 0.2)
    study = write_classifiers(tmp_path, str(tmp_path / "data"), GRID)
    said = run(*_words("run", study, tmp_path / "out", "--jobs", "2"))
    assert "all 3 points are done" in said and "m, toy: accuracy at % removed" in said
    again = run(*_words("run", study, tmp_path / "out"))
    assert "3 points were done before" in again and "started" not in again


@pytest.mark.slow
def test_a_study_that_is_killed_ends_as_if_it_had_not_been(
    finished: tuple[Path, Path, str], tmp_path: Path
) -> None:
    _kill_and_compare(finished, tmp_path, kills=1, longest=9)


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.4, 1.5])
def test_ctrl_c_is_answered_by_one_sentence(corpus: Path, tmp_path: Path, after: float) -> None:
    """It goes to all that the terminal runs; after the first line workers are being started."""
    study = write_study(tmp_path, data=str(corpus))
    process = subprocess.Popen(
        [*OURS, "study", "run", str(study), "--output", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, text=True,
    )  # fmt: skip
    assert process.stdout is not None and "3 points, " in process.stdout.readline()
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and said.endswith("fairseq-prune: interrupted.\n")
    assert "stopped; the same command goes on" in said and "Traceback" not in said, said


@pytest.mark.slow
def test_a_study_that_is_killed_ten_times(finished: tuple[Path, Path, str], tmp_path: Path) -> None:
    _kill_and_compare(finished, tmp_path, kills=10, longest=14)


def _kill_and_compare(
    finished: tuple[Path, Path, str], tmp_path: Path, kills: int, longest: float
) -> None:
    study, undisturbed, _ = finished
    draw, root = random.Random(kills), tmp_path / "out"
    for _ in range(kills):
        process = start(study, "--output", root)
        time.sleep(draw.uniform(2, longest))
        kill_all(root, process)
    run(*_words("run", study, root, "--no-report"))
    assert table(root) == table(undisturbed)


@pytest.mark.slow
def test_two_runs_in_one_folder_do_not_harm_each_other(
    finished: tuple[Path, Path, str], tmp_path: Path
) -> None:
    study, undisturbed, _ = finished
    root = tmp_path / "out"
    both = [start(study, "--output", root) for _ in range(2)]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert table(root) == table(undisturbed)


@pytest.mark.slow
def test_several_processes_train_a_point_without_gpus(corpus: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path, GRID.replace("[pruned, retrained]", "pruned"), str(corpus))
    root = tmp_path / "out"
    run(*_words("run", study, root, "--gpus", "2", "--cpu", "--no-report"))
    (log,) = root.glob("points/*dense*/train.log")
    assert "training on 2 devices" in log.read_text()
    assert len(table(root)) == 2


@pytest.mark.slow
def test_other_settings_of_evaluate_decode_again_and_train_nothing(
    finished: tuple[Path, Path, str], tmp_path: Path
) -> None:
    study, root, _ = finished
    copy = tmp_path / "moved"
    shutil.copytree(root, copy)
    assert "3 points were done before" in run(*_words("run", study, copy, "--no-report"))
    trained = {p: p.read_text() for p in copy.glob("points/*/train.log")}
    other = study.with_name("other.yaml")
    other.write_text(study.read_text().replace("beam: 1", "beam: 2"))
    run(*_words("run", other, copy, "--no-report"))
    rows = [row for p in copy.glob("points/*/results.jsonl") for row in results.read(p)]
    assert [row["settings"]["beam"] for row in rows] == [2, 2, 2]
    assert {p: p.read_text() for p in trained} == trained


@pytest.mark.slow
def test_a_cluster_is_reached_through_submitit(
    finished: tuple[Path, Path, str], corpus: Path, tmp_path: Path
) -> None:
    pytest.importorskip("submitit")
    study = write_study(tmp_path, GRID.replace("[pruned, retrained]", "pruned"), str(corpus))
    words = ("--on", "submitit", "--jobs", "2", "--cpu", "--slurm", "timeout_min=5", "--no-report")
    said = run(*_words("run", study, tmp_path / "out", *words))
    assert "all 2 points are done" in said
    there = table(finished[1])
    assert table(tmp_path / "out") == {n: row for n, row in there.items() if "retrained" not in n}
    refused = run(*_words("run", study, tmp_path / "out", "--slurm", "x"), fails=True)
    assert "--slurm x must be NAME=VALUE" in refused
