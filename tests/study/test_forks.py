"""Programs in forks of a process that has imported them: the same as in new interpreters."""

import os
import signal
import sys
import time
from pathlib import Path

from fairseq_prune.study import forks
from tests.conftest import LSTM, TRAINING, differences, read, run, trained


def _train(corpus: str, folder: str, *more: str) -> int:
    words = ["fairseq-train", corpus, *map(str, LSTM), *map(str, TRAINING), "--max-update", "3"]
    with open(f"{folder}.log", "wb") as log:
        return forks.run([*words, "--save-dir", folder, *more], log)


def _twice(corpus: str, folder: str) -> int:
    """Dense, and pruned by the plugin, in one process after the other."""
    prune = ("--user-dir", "fairseq_prune", "--prune-scheme", "class-blind")
    return _train(corpus, f"{folder}/dense") + _train(corpus, f"{folder}/pruned", *prune)


def test_a_training_in_a_fork_is_that_of_a_new_interpreter(corpus: Path, tmp_path: Path) -> None:
    process = forks.start(_twice, (str(corpus), str(tmp_path)), tmp_path / "worker.log", {})
    process.join(200)
    assert process.exitcode == 0, (tmp_path / "dense.log").read_text()[-2000:]
    plain = [*LSTM, *TRAINING, "--max-update", 3]
    run("fairseq-train", corpus, *plain, "--save-dir", tmp_path / "plain", fork=False)
    run("fairseq-train", corpus, *plain, "--save-dir", tmp_path / "plain-pruned", "--user-dir",
        "fairseq_prune", "--prune-scheme", "class-blind", fork=False)  # fmt: skip
    for forked, new in (("dense", "plain"), ("pruned", "plain-pruned")):
        a, b = (read(tmp_path / name / "checkpoint_last.pt") for name in (forked, new))
        assert differences(trained(a), trained(b)) == []
    assert "prune" not in read(tmp_path / "dense" / "checkpoint_last.pt")["task_state"]


def _ends(how: str) -> int:
    print("it says so")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "breaks":
        raise RuntimeError("broken")
    if how == "sleeps":
        time.sleep(60)
    return {"fails": 3}.get(how, os.getsid(0) == os.getpid() and os.environ["SLOT"] == "7" and 5)


def test_exit_codes_logs_groups_and_environment(tmp_path: Path) -> None:
    ends = {"works": 5, "fails": 3, "breaks": 1, "killed": -signal.SIGKILL}
    started = {
        how: forks.start(_ends, (how,), tmp_path / f"{how}.log", {"SLOT": "7"}) for how in ends
    }
    for how, code in ends.items():
        started[how].join(60)
        assert started[how].exitcode == code, how
        assert (tmp_path / f"{how}.log").read_text().startswith("it says so") or how == "killed"
    assert "RuntimeError: broken" in (tmp_path / "breaks.log").read_text()


def _command(folder: str) -> int:
    with open(f"{folder}/command.log", "wb") as log:
        return forks.run(["fairseq-prune", "inspect", f"{folder}/none.pt"], log)


def test_a_command_of_ours_ends_with_its_sentence(tmp_path: Path) -> None:
    process = forks.start(_command, (str(tmp_path),), tmp_path / "log", {})
    process.join(60)
    assert process.exitcode == 2
    said = (tmp_path / "command.log").read_text()
    assert said == f"fairseq-prune: {tmp_path}/none.pt is not a file; give the path of a fairseq " \
        "checkpoint.\n"  # fmt: skip


def _refused(checkpoint: str) -> int:
    with open(f"{checkpoint}.log", "wb") as log:
        return forks.run(["fairseq-generate", "--path", checkpoint, f"{checkpoint}.data"], log)


def test_a_refusal_is_one_sentence_as_in_a_new_interpreter(corpus: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pt"
    cut.write_bytes(b"PK\3\4" + bytes(99))
    (tmp_path / "cut.pt.data").symlink_to(corpus)
    process = forks.start(_refused, (str(cut),), tmp_path / "log", {})
    process.join(60)
    said = (tmp_path / "cut.pt.log").read_text()
    assert process.exitcode == 2 and "Traceback" not in said
    assert said.splitlines()[-1].startswith(f"fairseq_prune: {cut} is not a checkpoint that")


def test_without_the_imports_it_is_a_new_interpreter(tmp_path: Path) -> None:
    process = forks.start(_ends, ("works",), tmp_path / "log", {"SLOT": "7"}, imported=False)
    process.join(60)
    assert process.exitcode == 5 and "torch" in sys.modules
