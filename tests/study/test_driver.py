"""The driver: what starts when, failures, other runs in the same folder; with real processes."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairseq_prune.files.lock import held
from fairseq_prune.study.driver import Driver
from fairseq_prune.study.executors import Process
from fairseq_prune.study.grid import points_of
from fairseq_prune.study.layout import Laid, look
from fairseq_prune.study.settings import read_study
from tests.study.studies import write_study

# stands in for a worker's hours of training: leaves the files that a worker leaves
PROGRAM = """
import json, pathlib, sys, time
folder, mode, log = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
with log.open("a") as file:
    file.write(f"{folder.name} begins\\n")
time.sleep(99 if mode == "sleeps" else 0.3)
if mode == "breaks":
    print("Traceback: out of memory")
    sys.exit(3)
if mode == "fails":
    report = {"what": "it failed", "lines": ["the last line"], "log": None, "time": 0}
    (folder / "failed.json").write_text(json.dumps(report))
    sys.exit(1)
(folder / "result").write_text("made")
(folder / "made.json").write_text(json.dumps({"seconds": 1.0, "gpus": 1}))
(folder / "done.json").write_text(json.dumps({"evaluate": None, "seconds": 1.0, "time": 0}))
with log.open("a") as file:
    file.write(f"{folder.name} ends\\n")
"""


class Quick:
    """Starts PROGRAM in place of a worker; ``modes`` by stage."""

    def __init__(self, log: Path, slots: int, modes: dict[str, str] | None = None) -> None:
        self.log, self.slots, self.modes = log, slots, modes or {}

    def start(self, folder: Path, slot: int) -> Process:
        assert 0 <= slot < self.slots
        stage = folder.name.split("-")[2]
        words = [sys.executable, "-c", PROGRAM, folder, self.modes.get(stage, "works"), self.log]
        with (folder / "worker.log").open("wb") as out:
            return Process(
                subprocess.Popen(list(map(str, words)), stdout=out, start_new_session=True)
            )


def laid_out(tmp_path: Path, **more: str) -> Laid:
    study = read_study(str(write_study(tmp_path, **more)))
    laid = look(study, tmp_path / "out")
    for point in points_of(study):
        content = {"command": [], "result": "result", "evaluate": None, "tags": {}, "keep": "all"}
        laid.folders[point.name].write("point", {"name": point.name, **content})
    return laid


def test_points_run_after_what_they_need_and_not_too_many_at_once(tmp_path: Path) -> None:
    laid, log = laid_out(tmp_path, seeds="[1, 2, 3]"), tmp_path / "log"
    outcome = Driver(laid, Quick(log, 2), lambda _: None).run()
    assert outcome.done == {p.name for p in laid.points} and not outcome.failed
    running: set[str] = set()
    ended: set[str] = set()
    needs = {p.name: p.needs.name for p in laid.points if p.needs is not None}
    for line in log.read_text().splitlines():
        name, what = line.split()
        if what == "begins":
            assert needs.get(name, name) in ended | {name}
            running.add(name)
        else:
            running.remove(name)
            ended.add(name)
        assert len(running) <= 2
    assert len(ended) == 9


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    laid, log = laid_out(tmp_path), tmp_path / "log"
    Driver(laid, Quick(log, 2), lambda _: None).run()
    before = log.read_text()
    said: list[str] = []
    outcome = Driver(laid, Quick(log, 2), said.append).run()
    assert len(outcome.done) == 3 and log.read_text() == before
    assert said == ["3 points were done before  [3 of 3]"]


def test_a_failure_takes_only_what_needs_it_and_is_tried_again(tmp_path: Path) -> None:
    laid, log = laid_out(tmp_path, seeds="[1, 2]"), tmp_path / "log"
    said: list[str] = []
    outcome = Driver(laid, Quick(log, 2, {"pruned": "fails"}), said.append).run()
    stages = {p.name: p.stage for p in laid.points}
    assert {stages[n] for n in outcome.done} == {"dense"}
    assert [stages[n] for n in outcome.failed] == ["pruned", "pruned"]
    assert [stages[n] for n in outcome.blocked] == ["retrained", "retrained"]
    assert "    the last line" in said
    assert len(Driver(laid, Quick(log, 2), said.append).run().done) == 6


def test_a_worker_that_breaks_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    laid = laid_out(tmp_path)
    said: list[str] = []
    outcome = Driver(laid, Quick(tmp_path / "log", 1, {"dense": "breaks"}), said.append).run()
    assert list(outcome.failed.values()) == ["its worker ended with exit code 3"]
    assert "    Traceback: out of memory" in said
    (dense,) = (f for name, f in laid.folders.items() if "dense" in name)
    assert json.loads((dense.path / "failed.json").read_text())["lines"]


def test_what_another_run_works_on_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairseq_prune.study.driver._ELSEWHERE", 0.2)
    laid, log = laid_out(tmp_path), tmp_path / "log"
    dense = next(f for name, f in laid.folders.items() if "dense" in name)
    # another run holds the point, finishes it, and goes
    other = (
        "import sys, time\nfrom pathlib import Path\n"
        "from fairseq_prune.files.lock import held\n"
        "with held(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n    time.sleep(1)\n"
        f"    sys.argv[2:] = ['works', {str(log)!r}]\n    exec({PROGRAM!r})\n"
    )
    words = [sys.executable, "-c", other, str(dense.path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    said: list[str] = []
    begin = time.monotonic()
    assert len(Driver(laid, Quick(log, 2), said.append).run().done) == 3
    assert process.wait() == 0 and time.monotonic() - begin > 1
    assert log.read_text().count(dense.name + " begins") == 1
    assert any(line.startswith(f"elsewhere {dense.name}") for line in said)


def test_a_second_interrupt_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid = laid_out(tmp_path, seeds="[1, 2]")
    executor, jobs = Quick(tmp_path / "log", 2, {"dense": "sleeps"}), []
    start = executor.start
    monkeypatch.setattr(executor, "start", lambda *a: jobs.append(start(*a)) or jobs[-1])

    def say(sentence: str) -> None:
        if len(jobs) == 2:  # Ctrl-C, and again while they are being stopped
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Driver(laid, executor, say).run()
    assert [job.process.wait(20) for job in jobs] == [-signal.SIGTERM] * 2


def test_a_lock_is_free_again_when_its_holder_is_gone(tmp_path: Path) -> None:
    with held(tmp_path) as first, held(tmp_path) as second:
        assert first is not None and second is None
    with held(tmp_path) as again:
        assert again is not None
