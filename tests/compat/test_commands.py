"""fairseq's own commands, started as a user starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


class Touches:
    """Pickles as the command that makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.trace}",)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    pytest.importorskip("fairseq")
    folder = tmp_path_factory.mktemp("smoke")
    command = ["bash", str(ROOT / "scripts" / "smoke_fairseq.sh"), str(BIN), str(folder)]
    return folder, subprocess.run(command, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_every_command_of_fairseq_works(smoke: tuple[Path, str]) -> None:
    lines = smoke[1].splitlines()
    assert len(lines) == 16
    assert [line for line in lines if not line.startswith("ok\t")] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        [
            "fairseq-train",
            "data",
            "--arch",
            "lstm",
            "--optimizer=nag",
            "--max-tokens=500",
            "--restore-file",
        ],
        ["fairseq-validate", "data", "--task", "translation", "--max-tokens", "500", "--path"],
        ["fairseq-interactive", "data", "--source-lang", "de", "--target-lang", "en", "--path"],
    ],
    ids=["train", "validate", "interactive"],
)
def test_a_file_that_would_run_code_is_refused(
    command: list[str], smoke: tuple[Path, str], tmp_path: Path
) -> None:
    evil = tmp_path / "evil.pt"
    torch.save({"model": Touches(tmp_path / "it_ran"), "args": None}, evil)
    program, *arguments = command
    done = subprocess.run(
        [str(BIN / program), *arguments, str(evil), "--cpu"],
        cwd=smoke[0],
        capture_output=True,
        text=True,
        input="haus\n",
    )
    assert done.returncode != 0
    assert f"{evil} holds posix.system, which" in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "it_ran").exists()
