"""Programs that stand in for fairseq's and ours: they note their call and leave small files."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

NOTE = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >>"$CALLS"
after() { # FLAG ARGUMENTS...: the argument after the flag
  local flag=$1; shift
  while (($#)); do if [[ $1 == "$flag" ]]; then echo "$2"; return; fi; shift; done
}
"""
TRAIN = (
    NOTE
    + """
folder=$(after --save-dir "$@")
mkdir -p "$folder"
echo "epoch 001:      5 / 10 loss=1"
[[ -z ${BREAKS:-} || $folder != *$BREAKS* ]] || { echo "the disk has melted"; exit 3; }
if [[ -n ${SLEEPS:-} && $folder == *$SLEEPS* ]]; then
  sleep 60 & echo $! >>"$CALLS.pids"; wait
fi
echo weights | tee "$folder/checkpoint_last.pt" >"$folder/checkpoint_best.pt"
"""
)
PRUNE = (
    NOTE
    + """
case $1 in
  apply | control | shrink) echo pruned >"$(after --output "$@")" ;;
  evaluate) echo "checkpoint 1 of 1" ;;
  report) echo "report: there" ;;
esac
"""
)

CONFIG = """\
# a comment
model:
  arch: lstm          # another
  share: true
dense:
  lr: 0.1
  max-epoch: 4
retrain:
  lr: 0.05
  max-epoch: 1
brief:
  max-update: 40
  max-epoch: 1
brief-retrain:
  max-update: 20
  max-epoch: 1
"""


class Study:
    """A script over stubs in a folder of its own; ``script`` is its name."""

    script: str

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.calls_file = folder, folder / "out", folder / "calls"
        programs = folder / "bin"
        for name, text in (("fairseq-train", TRAIN), ("fairseq-prune", PRUNE)):
            self.add_program(programs / name, text)
        (folder / "data").mkdir()
        (folder / "test.en").write_text("a\n")
        (folder / "small.yaml").write_text(CONFIG)
        self.environment = {
            **os.environ, "PROGRAMS": str(programs), "DATA": str(folder / "data"),
            "REFERENCE": str(folder / "test.en"), "OUT": str(self.out), "DEVICE": "cpu",
            "CALLS": str(self.calls_file), "PERCENTS": "80", "JOBS": "2",
        }  # fmt: skip

    @staticmethod
    def add_program(path: Path, text: str) -> None:
        """Write a program."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def start(self, **environment: str) -> "subprocess.Popen[str]":
        """Start the study."""
        return subprocess.Popen(
            ["bash", str(ROOT / "scripts" / self.script), str(self.folder / "small.yaml")],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, **environment: str) -> tuple[int, str, str]:
        """The exit code, stdout and stderr of the study."""
        self.calls_file.write_text("")
        process = self.start(**environment)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def calls(self, start: str = "") -> list[str]:
        """The calls of programs that begin with ``start``, paths shortened."""
        text = self.calls_file.read_text().replace(str(self.out), "OUT")
        text = text.replace(str(self.folder), "DIR").replace(str(ROOT), "ROOT")
        return [line for line in text.splitlines() if line.startswith(start)]


def wait_for(path: Path, seconds: float = 60) -> None:
    """Return when the file is there and not empty."""
    end = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Table(Study):
    """scripts/methods_table.sh over stubs; its scoring costs nothing."""

    script = "methods_table.sh"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment |= {"SEEDS": "1 2", "PERCENTS": "60 80"}
        real = f'exec {sys.executable} "$@"'
        python = f'#!/bin/sh\ncase $1 in *scoring.py) echo "{{}}" ;; *) {real} ;; esac\n'
        self.add_program(folder / "bin/python", python)
