"""A tiny study and its report, made once."""

from pathlib import Path

import pytest

from fairseq_prune.report.report import write_report
from tests.report import tiny


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny study, its report in ``report``; not to be changed."""
    folder = tiny.study(tmp_path_factory.mktemp("study"))
    said = write_report([str(folder)], str(folder / "report"), "A study", "make it")
    assert "not there" not in said
    return folder
