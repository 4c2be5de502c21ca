"""Journals of several trainings: whose a folder is."""

from pathlib import Path

import pytest

from fairseq_prune.cli._journal import Journal


def test_what_a_killed_run_was_writing_is_not_somebody_elses(tmp_path: Path) -> None:
    for name in (".lock", ".tickets.json.12"):
        (tmp_path / name).write_text("")
    Journal(tmp_path, "tickets").check_folder()
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="holds other files already"):
        Journal(tmp_path, "tickets").check_folder()
