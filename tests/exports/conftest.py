"""The command line, called in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fairseq_prune.cli.main import main


@pytest.fixture
def call_export() -> Callable[[Path, str, Path], None]:
    """Calls ``fairseq-prune export PATH --format FORMAT --output OUT``, which has to succeed."""

    def run(path: Path, kind: str, output: Path) -> None:
        assert main(["export", str(path), "--format", kind, "--output", str(output)]) == 0

    return run
