"""Time left: from what finished points cost."""

from pathlib import Path

import pytest

from fairseq_prune.study.folder import Folder
from fairseq_prune.study.grid import points_of
from fairseq_prune.study.layout import look
from fairseq_prune.study.progress import costs_of, how_far, in_words, longest_first, time_left
from fairseq_prune.study.settings import read_study
from tests.study.studies import write_study


def test_a_point_costs_what_its_kind_cost_by_the_update(tmp_path: Path) -> None:
    study = read_study(str(write_study(tmp_path)))  # dense: 6 updates, retrained: 3
    laid = look(study, tmp_path / "out")
    points = {p.stage: p for p in points_of(study)}
    nothing = costs_of(laid.points, laid.folders)
    assert time_left(laid.points, nothing, 2) == (0, 3)
    dense = laid.folders[points["dense"].name]
    dense.write("made", {"seconds": 60.0, "gpus": 1})
    dense.write("done", {"evaluate": None, "seconds": 4.0})
    costs = costs_of(laid.points, laid.folders)
    assert costs.seconds(points["retrained"]) == 60 / 6 * 3 + 4
    assert costs.seconds(points["pruned"]) is None
    assert time_left([points["dense"], points["retrained"]], costs, 2) == (64, 0)
    assert time_left([points["dense"]] * 4, costs, 2) == (128, 0)
    # one point cannot be shared by two slots
    assert time_left([points["dense"]], costs, 2) == (64, 0)


def test_a_point_that_runs_has_time_behind_it_and_others_have_not(tmp_path: Path) -> None:
    study = read_study(str(write_study(tmp_path, seeds="[1, 2]")))
    laid = look(study, tmp_path / "out")
    points = [p for p in points_of(study) if p.stage in ("dense", "retrained")]
    first, second, third, _ = points
    dense = laid.folders[first.name]
    dense.write("made", {"seconds": 60.0, "gpus": 1})
    dense.write("done", {"evaluate": None, "seconds": 0.0})
    costs = costs_of(laid.points, laid.folders)
    assert [costs.seconds(p) for p in (first, second, third)] == [60, 30, 60]
    # one that takes longer than expected takes nothing from the others
    assert time_left([first, third], costs, 1, {first.name: 500.0}) == (60, 0)
    assert time_left([first, third], costs, 2, {first.name: 20.0}) == (60, 0)
    assert time_left([first, second], costs, 1, {first.name: 20.0}) == (70, 0)


def test_a_run_that_was_cut_says_nothing_of_what_one_costs(tmp_path: Path) -> None:
    study = read_study(str(write_study(tmp_path)))
    laid = look(study, tmp_path / "out")
    dense = next(f for name, f in laid.folders.items() if "dense" in name)
    dense.write("made", {"seconds": None, "gpus": 1})
    assert costs_of(laid.points, laid.folders).making == {}


@pytest.mark.parametrize(
    "seconds, words",
    [(9.4, "9 s"), (120, "2 min"), (5900, "98 min"), (7200, "2.0 h"), (260_000, "3.0 days")],
)
def test_durations_are_for_people(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_what_the_longest_work_waits_for_is_started_first(tmp_path: Path) -> None:
    study = read_study(str(write_study(tmp_path, seeds="[1, 2]")))
    laid = look(study, tmp_path / "out")
    points = points_of(study)
    assert longest_first(points, costs_of(laid.points, laid.folders)) == points
    dense = laid.folders[points[0].name]
    dense.write("made", {"seconds": 60.0, "gpus": 1})
    dense.write("done", {"evaluate": None, "seconds": 4.0})
    costs = costs_of(laid.points, laid.folders)
    found = longest_first(points, costs)
    # nothing is known of pruning alone, but that a retraining waits for it
    assert [p.stage for p in found] == ["dense", "pruned", "retrained"] * 2
    assert [p.seed for p in found] == [1, 1, 1, 2, 2, 2]
    others = [p for p in points if p.stage != "retrained"]
    assert [p.stage for p in longest_first(others, costs)] == ["dense", "pruned"] * 2


@pytest.mark.parametrize(
    ("length", "line", "said"),
    [
        ("max-update: 6", "| epoch 002:  3 / 9 loss=8.2, num_updates=4, lr=0.1", "update 4 of 6"),
        ("max-update: 6", '{"epoch": 2, "num_updates": "4"}', "update 4 of 6"),
        ("max-epoch: 5", "| epoch 002:  3 / 9 loss=8.2, num_updates=40, lr=0.1", "epoch 2 of 5"),
        ("max-epoch: 5", '{"epoch": 2, "num_updates": "4"}', "epoch 2 of 5"),
        ("max-epoch: 5", "| loaded 20 examples", ""),
    ],
)
def test_a_log_says_how_far_a_training_is(
    tmp_path: Path, length: str, line: str, said: str
) -> None:
    path = write_study(tmp_path)
    config = path.with_name("config.yaml")
    config.write_text(config.read_text().replace("max-update: 6", length))
    dense, pruned, *_ = points_of(read_study(str(path)))
    folder = Folder(tmp_path / "point")
    assert how_far(dense, folder) == ""  # nothing is there yet
    folder.path.mkdir()
    (folder.path / "train.log").write_text(f"begins\n{line}\nsaved\n")
    assert how_far(dense, folder) == said and how_far(pruned, folder) == ""
