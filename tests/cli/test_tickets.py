"""fairseq-prune tickets: real rounds of stock fairseq-train, one of them killed."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints.tickets import survivors
from fairseq_prune.maths.select import round_count
from fairseq_prune.tasks.opening import open_checkpoint
from tests.conftest import BIN, LSTM, TRAINING, audit_of, differences, read, run, trained

SCHEDULE = "--lr-scheduler inverse_sqrt --warmup-updates 6 --max-update 10".split()
ROUNDS = "--rounds 2 --prune-sparsity 0.75 --rewind-to 3".split()


@dataclass
class Rounds:
    """A finished run of two rounds, the first of which was killed as it began."""

    folder: Path
    words: list[str]  # of the command line
    start: Path  # what round 1 started from
    rows: list[dict[str, Any]]


def killed_at(path: Path, words: list[str]) -> None:
    """Run a command, kill it and its children as soon as there is a file at ``path``."""
    silent = subprocess.DEVNULL
    process = subprocess.Popen(words, stdout=silent, stderr=silent, start_new_session=True)
    while process.poll() is None and not path.exists():
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def rounds(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Rounds:
    folder = tmp_path_factory.mktemp("tickets") / "out"
    own = ["tickets", "--output", folder, *ROUNDS]
    words = [str(w) for w in (*own, "--", corpus, *LSTM, *TRAINING, *SCHEDULE)]
    killed_at(folder / "round-1" / "checkpoint_last.pt", [str(BIN / "fairseq-prune"), *words])
    start = folder.parent / "start.pt"
    shutil.copy(folder / "round-1" / "checkpoint_last.pt", start)
    out = run("fairseq-prune", *words[:1], "--json", *words[1:])
    return Rounds(folder, words, start, json.loads(out)["rows"])


def lines(folder: Path) -> list[dict[str, str]]:
    """What fairseq said of each update."""
    text = (folder / "train.log").read_text()
    return [
        dict(re.findall(r"(\w+)=([\d.e-]+)", line))
        for line in text.splitlines()
        if "train_inner" in line
    ]


def test_the_rounds_are_exact_and_verified(rounds: Rounds) -> None:
    assert [row["name"] for row in rounds.rows] == ["round-0", "round-1", "round-2"]
    assert [row["updates"] for row in rounds.rows] == [10, 10, 10]
    for row, sparsity in zip(rounds.rows[1:], (0.5, 0.75), strict=True):
        found = audit_of(str(rounds.folder / row["name"] / "checkpoint_last.pt"))
        assert found.ok and found.notes == []
        assert found.removed == round_count(sparsity, found.prunable)
        assert found.digest == row["masks"]
    stored = (rounds.folder / "tickets.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in stored] == rounds.rows
    names = {path.name for path in (rounds.folder / "round-1").iterdir()}
    assert names == {"checkpoint_best.pt", "checkpoint_last.pt", "train.log"}


def test_survivors_start_from_the_stored_update(rounds: Rounds) -> None:
    kept, start = read(rounds.folder / "rewind.pt"), open_checkpoint(str(rounds.start))
    assert start.masks is not None
    for name, value in kept["model"].items():
        mask = start.masks.get(name, torch.ones_like(value, dtype=torch.bool))
        expected = torch.where(mask, value, torch.zeros_like(value))
        assert torch.equal(start.content["model"][name], expected)
    assert start.content["optimizer_history"] == kept["optimizer_history"]
    position = start.content["extra_state"]["train_iterator"]
    assert position == kept["extra_state"]["train_iterator"]
    opened = open_checkpoint(str(rounds.folder / "rewind.pt"))
    for row in rounds.rows[1:]:
        end = open_checkpoint(str(rounds.folder / row["name"] / "checkpoint_last.pt"))
        assert end.record is not None
        assert survivors(opened, end.record) == row["survivors"]


def test_masks_shrink_from_round_to_round(rounds: Rounds) -> None:
    one, two = (
        open_checkpoint(str(rounds.folder / f"round-{n}" / "checkpoint_last.pt")) for n in (1, 2)
    )
    assert one.masks is not None and two.masks is not None
    assert all(not bool((two.masks[name] & ~one.masks[name]).any()) for name in one.masks)


def test_schedule_and_data_go_on_from_the_stored_update(rounds: Rounds) -> None:
    dense = lines(rounds.folder / "round-0")
    assert [line["num_updates"] for line in dense] == [str(n) for n in range(1, 11)]
    for name in ("round-1", "round-2"):
        again = lines(rounds.folder / name)
        assert again[0]["num_updates"] == "4"
        for key in ("num_updates", "lr", "bsz", "wpb"):
            assert [line[key] for line in again] == [line[key] for line in dense[3:]], key


def test_the_killed_round_went_on_to_the_very_same_end(rounds: Rounds, train, tmp_path) -> None:
    shutil.copy(rounds.start, tmp_path / "checkpoint_last.pt")
    flags = ["--prune-scheme", "class-blind", "--prune-sparsity", 0.5]
    straight = train(tmp_path, *SCHEDULE, *flags)
    again = read(rounds.folder / "round-1" / "checkpoint_last.pt")
    assert differences(trained(straight), trained(again)) == []


def test_called_again_it_does_nothing(rounds: Rounds, call) -> None:
    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in rounds.folder.rglob("*.*")}

    before = times()
    code, out, err = call(*rounds.words)
    assert (code, err, out.count("was finished before")) == (0, "", 3)
    assert times() == before


def test_other_settings_are_refused(rounds: Rounds, call) -> None:
    for old, new, sentence in (
        ("--rounds 2", "--rounds 3", "rounds 3 (there: 2). Repeat those"),
        ("--rewind-to 3", "--rewind-to 4", "rewind-to 4 (there: 3)"),
        ("0.75", "0.7", "prune-sparsity 0.7 (there: 0.75)"),
        ("--lr 0.01", "--lr 0.02", "--lr 0.02 ... (there: ... --lr 0.01 ...)"),
    ):
        code, out, err = call(*" ".join(rounds.words).replace(old, new).split())
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"{rounds.folder} was begun with other settings: " in err and sentence in err


def test_a_folder_at_work_is_refused(rounds: Rounds, call) -> None:
    with (rounds.folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, _, err = call(*rounds.words)
    assert code == 2 and f"is at work in {rounds.folder}; wait for it" in err


@pytest.mark.slow
def test_controls_have_the_mask_or_the_weights_of_the_ticket(
    rounds: Rounds, train, tmp_path, call
) -> None:
    out = tmp_path / "out"
    shutil.copytree(rounds.folder, out)
    words = [word.replace(str(rounds.folder), str(out)) for word in rounds.words[1:]]
    code, text, _ = call("tickets", "--json", "--controls", "reinit,random-ticket", *words)
    rows = json.loads(text)["rows"]
    assert code == 0 and rows[:3] == rounds.rows
    ticket, reinit, shuffled = rows[2:]
    assert [row["name"] for row in rows[3:]] == ["control-reinit", "control-random-ticket"]
    assert reinit["masks"] == ticket["masks"] != shuffled["masks"]
    assert reinit["sparsity"] == ticket["sparsity"] == shuffled["sparsity"]
    last = "checkpoint_last.pt"
    flags = ["--seed", 2, "--prune-mask-from", out / "round-2" / last]
    fresh = train(tmp_path / "fresh", *SCHEDULE, *flags)
    assert differences(fresh["model"], read(out / "control-reinit" / last)["model"]) == []
    kept = open_checkpoint(str(out / "rewind.pt"))
    mixed, best = (
        open_checkpoint(str(out / n / last)) for n in ("control-random-ticket", "round-2")
    )
    assert mixed.record is not None and mixed.masks is not None and best.masks is not None
    assert survivors(kept, mixed.record) == shuffled["survivors"]
    assert all(mixed.masks.removed(name) == best.masks.removed(name) for name in best.masks)


def test_a_training_that_fails_is_a_sentence_with_the_end_of_its_log(corpus, tmp_path, call):
    command = ["tickets", "--output", tmp_path, "--rewind-to", 1, "--", corpus]
    code, out, err = call(*command, "--arch", "lstm", "--max-update", 2, "--no-such-flag")
    log = tmp_path / "round-0" / "train.log"
    assert code == 2 and err.count("\n") == 1
    assert f"fairseq-train failed with exit code 2; its log {log} ends: " in err
    assert "unrecognized arguments: --no-such-flag" in err
    assert not (tmp_path / "tickets.jsonl").exists()


def test_an_update_that_is_never_reached_is_refused(corpus, tmp_path, call):
    command = ["tickets", "--output", tmp_path, "--rewind-to", 100, "--", corpus]
    code, _, err = call(*command, *LSTM, *TRAINING, "--max-epoch", 1)
    assert code == 2
    assert re.search(r"--rewind-to 100 was not reached: training ended after \d updates; ", err)


@pytest.mark.slow
@pytest.mark.parametrize("saliency", ["snip", "obd-adam", "synflow"])
def test_other_saliencies_and_the_other_rewinding(corpus, tmp_path, call, saliency):
    flags = ["--rounds", 1, "--rewind-to", 0, "--rewind", "learning-rate"]
    flags += ["--prune-scheme", "class-uniform", "--prune-saliency", saliency]
    command = ["--", corpus, *LSTM, *TRAINING, *SCHEDULE]
    code, text, err = call("tickets", "--output", tmp_path, "--json", *flags, *command)
    assert code == 0, err
    last = tmp_path / "round-1" / "checkpoint_last.pt"
    found, opened = audit_of(str(last)), open_checkpoint(str(last))
    assert found.ok and opened.record is not None
    dense = open_checkpoint(str(tmp_path / "round-0" / "checkpoint_last.pt"))
    assert survivors(dense, opened.record) == json.loads(text)["rows"][1]["survivors"]
    assert lines(tmp_path / "round-1")[0]["num_updates"] == "1"


TRAIN = "DATA --arch lstm --max-update 10"
BAD = {
    "--rounds 0": "--rounds 0 must be 1 or more.",
    "--rewind-to 10": "--rewind-to 10 must be 0 or more and less than --max-update 10.",
    "--rewind-to -1": "--rewind-to -1 must be 0 or more",
    "--rewind moments": "--rewind 'moments' is unknown; choose weights or learning-rate.",
    "--controls x": "--controls 'x' is unknown; choose reinit or random-ticket.",
    "--controls reinit --control-seed 1": "--control-seed 1 is the seed of the run itself",
    "--prune-sparsity 0": "--prune-sparsity 0.0 is outside (0, 1)",
    "--prune-sparsity 1": "--prune-sparsity 1.0 is outside",
    "--prune-scheme x": "--prune-scheme 'x' is unknown",
    "--prune-schedule gradual --prune-end 5": "needs training",
    "--prune-mask-from FILE": "--prune-mask-from has no place here",
    "--prune-scheme class-uniform --prune-structure 2:4": "--prune-structure 2:4 fixes the",
}
BAD_COMMANDS = {
    "": "after -- comes the command line of fairseq-train, DATA first",
    "--arch lstm DATA --max-update 10": "DATA first",
    "DATA --arch lstm": "has no --max-update and no --max-epoch",
    f"{TRAIN} --save-dir x": "leave --save-dir out of the fairseq-train command: each round has",
    f"{TRAIN} --save-dir=x": "leave --save-dir out",
    f"{TRAIN} --user-dir x": "leave --user-dir out",
    f"{TRAIN} --no-save": "leave --no-save out",
    f"{TRAIN} --restore-file x": "leave --restore-file out",
    f"{TRAIN} --prune-scheme erk": "give --prune-scheme before the --",
    f"{TRAIN} --ddp-backend fully_sharded": "cannot be pruned; use legacy_ddp or pytorch_ddp.",
}


@pytest.mark.parametrize(("flags", "sentence"), BAD.items())
def test_bad_flags_are_refused_before_anything(call, tmp_path, flags, sentence):
    own = ["tickets", "--output", tmp_path / "out", "--rewind-to", 3, *flags.split()]
    code, out, err = call(*own, "--", *TRAIN.split())
    assert (code, out, err.count("\n")) == (2, "", 1) and sentence in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("command", "sentence"), BAD_COMMANDS.items())
def test_a_command_that_cannot_be_rewound_is_refused(call, tmp_path, command, sentence):
    own = ["tickets", "--output", tmp_path / "out", "--rewind-to", 3]
    code, out, err = call(*own, "--", *command.split())
    assert (code, out, err.count("\n")) == (2, "", 1) and sentence in err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_refused(call, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    own = ["tickets", "--rewind-to", 3, "--output"]
    code, _, err = call(*own, tmp_path, "--", *TRAIN.split())
    assert code == 2 and f"--output {tmp_path} holds other files already" in err
    code, _, err = call(*own, tmp_path / "thesis.tex", "--", *TRAIN.split())
    assert code == 2 and "is a file; give the name of a folder" in err


def test_reinit_has_nothing_to_do_with_given_weights(call, tmp_path):
    own = ["tickets", "--output", tmp_path / "o", "--rewind-to", 3, "--controls", "reinit"]
    code, _, err = call(*own, "--", *TRAIN.split(), "--finetune-from-model", "dense.pt")
    assert code == 2 and "--controls reinit has no other initial weights" in err
