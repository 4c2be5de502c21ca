"""Trainings that were cut, by the files they leave."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints.resume import BEST, LAST, is_trained
from fairseq_prune.checkpoints.storage import load


def save(path: Path, updates: int, most: int = 6) -> None:
    content: dict[str, Any] = {
        "model": {"w": torch.zeros(1000)},
        "cfg": {"optimization": {"max_update": most}},
        "optimizer_history": [{"num_updates": updates}],
    }
    torch.save(content, path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


@pytest.mark.parametrize("updates, over", [(3, False), (6, True)])
def test_a_training_is_over_at_its_last_update(tmp_path: Path, updates: int, over: bool) -> None:
    assert not is_trained(tmp_path)
    save(tmp_path / LAST, updates)
    assert is_trained(tmp_path) is over
    assert (tmp_path / LAST).is_file()


@pytest.mark.parametrize("updates, over", [(3, False), (6, True)])
def test_a_copy_that_was_cut_is_made_again(tmp_path: Path, updates: int, over: bool) -> None:
    save(tmp_path / BEST, updates)
    save(tmp_path / LAST, updates)
    cut(tmp_path / LAST)
    assert is_trained(tmp_path, BEST) is over
    assert load(tmp_path / LAST)["optimizer_history"] == [{"num_updates": updates}]


def test_what_nothing_can_mend_is_removed(tmp_path: Path) -> None:
    for name in (LAST, BEST):
        save(tmp_path / name, 6)
        cut(tmp_path / name)
    assert not is_trained(tmp_path)
    assert not (tmp_path / LAST).exists()


def test_a_training_whose_result_is_gone_begins_anew(tmp_path: Path) -> None:
    save(tmp_path / LAST, 6)
    assert not is_trained(tmp_path, BEST)
    assert not (tmp_path / LAST).exists()
