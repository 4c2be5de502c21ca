"""A dense checkpoint, a pruned one, and the command line called in this process."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.cli.main import main
from tests.cli.models import checkpoint, write

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls ``fairseq-prune`` with these arguments: exit code, stdout, stderr."""

    def run(*arguments: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse's --help, --version and errors
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        # fairseq has no model with the few tensors of a checkpoint that was made by hand
        return code, out, re.sub(r"fairseq-prune: note: .* was not opened once .*\n", "", err)

    return run


@pytest.fixture
def ask(call: Call) -> Callable[..., Any]:
    """Calls ``fairseq-prune ... --json``, which has to succeed; gives what it says."""

    def run(*arguments: Any) -> Any:
        code, out, err = call(*arguments, "--json")
        assert (code, err, out.count("\n")) == (0, "", 1)
        return json.loads(out, parse_constant=_refuse)

    return run


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.fixture
def dense(tmp_path: Path) -> str:
    """The path of a dense checkpoint."""
    return write(tmp_path / "dense.pt", checkpoint())


@pytest.fixture
def pruned(tmp_path: Path, dense: str, call: Call) -> str:
    """The path of the dense checkpoint pruned to 50%, class-blind."""
    output = str(tmp_path / "pruned.pt")
    code, _, err = call("apply", dense, "--output", output, *BLIND_HALF)
    assert (code, err) == (0, "")
    return output


BLIND_HALF = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.5")
