"""A worker's own decisions, without fairseq."""

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.evaluation import evaluate as evaluation
from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.study.folder import Folder
from fairseq_prune.study.worker import OK, work


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The beams that were decoded with, in place of decoding; what is known is not done again."""
    beams: list[int] = []

    def evaluate(
        checkpoints: list[str], settings: Settings, tags: Any, output: str
    ) -> Iterator[tuple[results.Row, bool]]:
        row = {"bleu": 1.0, "sha256": "a", "settings": {"beam": settings.beam}, "tags": tags}
        known = {results.identity(r): r for r in results.read(output)}
        if results.identity(row) not in known:
            beams.append(settings.beam)
            results.append(output, row)
        yield row, False

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    return beams


def point(path: Path, keep: str = "all", beam: int = 1) -> Folder:
    folder = Folder(path)
    folder.write(
        "point",
        {
            "command": ["fairseq-train", "--no-such-flag"],
            "result": "checkpoint_best.pt",
            "evaluate": {"data": "bin", "beam": beam},
            "tags": {},
            "keep": keep,
        },
    )
    return folder


def trained(path: Path) -> None:
    content = {
        "model": {"w": torch.zeros(3)},
        "cfg": {"optimization": {"max_update": 6}},
        "optimizer_history": [{"num_updates": 6}],
    }
    for name in ("checkpoint_best.pt", "checkpoint_last.pt"):
        torch.save(content, path / name)


def test_a_training_that_was_over_is_not_called_again(tmp_path: Path, decoded: list[int]) -> None:
    folder = point(tmp_path)
    trained(tmp_path)
    assert work(str(tmp_path)) == OK  # the command would fail
    assert folder.is_done and not (tmp_path / "train.log").exists() and decoded == [1]
    assert json.loads((tmp_path / "made.json").read_text())["seconds"] is None


def test_a_clock_that_is_set_back_makes_no_work_take_less_than_nothing(
    tmp_path: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    point(tmp_path)
    trained(tmp_path)
    clock = itertools.count(2e9, -3600)
    monkeypatch.setattr(time, "time", lambda: next(clock))
    assert work(str(tmp_path)) == OK
    assert json.loads((tmp_path / "done.json").read_text())["seconds"] >= 0


def test_results_are_those_of_the_settings_in_force(tmp_path: Path, decoded: list[int]) -> None:
    point(tmp_path)
    trained(tmp_path)
    for beam in (1, 2, 1, 1):
        folder = point(tmp_path, beam=beam)
        assert work(str(tmp_path)) == OK and folder.is_done
        (row,) = results.read(tmp_path / "results.jsonl")
        assert row["settings"]["beam"] == beam
    assert decoded == [1, 2, 1]


def test_only_what_is_evaluated_is_kept_where_the_study_says_so(
    tmp_path: Path, decoded: list[int]
) -> None:
    point(tmp_path, keep="evaluated")
    trained(tmp_path)
    assert work(str(tmp_path)) == OK
    assert [p.name for p in tmp_path.glob("*.pt")] == ["checkpoint_best.pt"]
