"""Checkpoints that results name: found, moved, gone, damaged, or other than they were."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fairseq_prune.report.animation_figure import animation_of
from fairseq_prune.report.file_finder import FileFinder
from fairseq_prune.report.mask_figures import survivors
from fairseq_prune.report.points import Point, read_points
from fairseq_prune.report.report import waiting
from fairseq_prune.report.sensitivity_files import find_measured
from tests.report import tiny
from tests.report.rows import row, write

UNIFORM = "points/pruned-class-uniform-80-1"


@pytest.fixture
def study(reported: Path, tmp_path: Path) -> Path:
    """A copy whose rows still name the files of the original, which is out of reach."""
    folder = tmp_path / "moved"
    shutil.copytree(reported, folder, ignore=shutil.ignore_patterns("report"))
    for path in folder.rglob("results.jsonl"):
        path.write_text(path.read_text().replace(str(reported), "/elsewhere/study"))
    return folder


def test_a_study_that_was_moved_still_has_its_checkpoints(study: Path) -> None:
    files = FileFinder([str(study)])
    (found,) = files.find("/elsewhere/study/points/dense/checkpoint_best.pt")
    assert found == study / "points" / "dense" / "checkpoint_best.pt"
    point = Point("m", "dense", None, 0.0, {"checkpoint": str(found)})
    assert files.beside(point, "train.log") == found.with_name("train.log")
    assert files.beside(replace(point, row={}), "train.log") is None
    assert files.find("/elsewhere/study/points/other/checkpoint_best.pt") == []
    assert files.notes == []


def test_a_checkpoint_that_is_gone_or_damaged_is_a_note(study: Path) -> None:
    (study / "points" / "dense" / "checkpoint_best.pt").unlink()
    for path in study.glob("points/*-80-*/checkpoint_best.pt"):
        path.write_bytes(b"no checkpoint")
    points, files = read_points(study.rglob("results.jsonl")), FileFinder([str(study)])
    assert animation_of(points, "m", files) is None
    assert survivors(points, "m", files) == []
    assert files.notes[0] == (
        "Checkpoints that are not there (any more): "
        "/elsewhere/study/points/dense/checkpoint_best.pt."
    )
    assert files.notes[1].startswith("Figures 7, 9 and 10 cannot show a checkpoint: ")


@pytest.mark.parametrize(
    "form, what", [("compact", "a compact file"), ("ctranslate2", "a folder of CTranslate2")]
)
def test_exports_are_no_checkpoints_that_are_gone(tmp_path: Path, form: str, what: str) -> None:
    made = {"form": form, "checkpoint": "../out/model"}
    rows = [row("dense", None, 0.0, 30.0) | made, row("retrained", "class-blind", 0.8, 20.0) | made]
    points, files = read_points([write(tmp_path, *rows)]), FileFinder([str(tmp_path)])
    assert animation_of(points, "m", files) is None
    assert survivors(points, "m", files) == []
    assert files.notes == [
        f"m: {figures} drawn from checkpoints only, and model is {what}: evaluate the checkpoint "
        "that it was made of into this folder, too."
        for figures in ("figure 10 is", "figures 7 and 9 are")
    ]


def test_an_export_beside_a_checkpoint_is_no_note(reported: Path, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        row("retrained", "class-blind", 0.8, 20.0) | {"form": "compact", "made": ["exported"]},
    )
    points = read_points([*reported.rglob("results.jsonl"), path])
    files = FileFinder([str(reported)])
    assert any(p.export for p in points)
    assert len(survivors(points, "m", files)) == 2
    assert files.notes == []


def test_paths_have_no_dots_unless_they_lead_elsewhere(tmp_path: Path) -> None:
    for folder in ("here", "far/away"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a.pt").touch()
    (tmp_path / "far" / "b.pt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    files = FileFinder([str(tmp_path)])
    assert files.find("../a.pt", tmp_path / "here") == [tmp_path / "a.pt"]
    assert files.find("../b.pt", tmp_path / "link") == [tmp_path / "link" / ".." / "b.pt"]


def test_a_checkpoint_pruned_again_since_is_not_shown(study: Path) -> None:
    other = study / UNIFORM / "checkpoint_best.pt"
    for path in study.glob("points/*class-blind*/checkpoint_best.pt"):
        path.write_bytes(other.read_bytes())
    points, files = read_points(study.rglob("results.jsonl")), FileFinder([str(study)])
    assert survivors(points, "m", files) == []
    assert "has other masks than when it was evaluated" in files.notes[0]


def test_a_dense_model_that_diverged_is_a_note(study: Path) -> None:
    path = study / "points" / "dense" / "checkpoint_best.pt"
    content = torch.load(path, weights_only=True)
    content["model"]["decoder.fc_out.weight"][3, 3] = float("nan")
    torch.save(content, path)
    points, files = read_points(study.rglob("results.jsonl")), FileFinder([str(study)])
    assert animation_of(points, "m", files) is None
    assert "cannot be pruned by magnitude" in files.notes[0]


def test_points_without_results_are_a_note(study: Path) -> None:
    (study / "points" / "waiting").mkdir()
    note = f"1 of 10 points of {study} have no results yet: waiting."
    assert waiting([str(study)]) == [note]
    # what measures a checkpoint translates nothing
    (study / "points" / "waiting" / "sensitivity.json").write_text("{}")
    assert waiting([str(study)]) == []


def test_a_sensitivity_file_that_is_cut_or_of_a_later_format_is_a_note(tmp_path: Path) -> None:
    whole = tiny.add_sensitivity(tmp_path, "class-uniform")
    tiny.add_sensitivity(tmp_path, "class-blind", format=2)
    (tmp_path / "cut.json").write_text(whole.read_text()[:-100])
    (tmp_path / "other.json").write_text("{}")
    notes: list[str] = []
    (found,) = find_measured([str(tmp_path)], {}, notes.append)
    assert (found.model, found.label, len(found.rows)) == ("m", "class-uniform, 90%", 5)
    assert len(notes) == 2 and "cut.json" in notes[0] and "format 2" in notes[1]


def test_of_curves_the_point_nearest_to_90_percent_is_shown(tmp_path: Path) -> None:
    rows = [
        {"class": c, "sparsity": s, "ppl_change": change, "largest_removed": 0.1}
        for c in "ba"
        for s, change in ((0.5, 1.0), (0.88, 2.0), (0.95, 3.0))
    ]
    rows.append({"class": "c", "sparsity": 0.9, "ppl_change": None, "largest_removed": 0.1})
    tiny.add_sensitivity(tmp_path, "class-blind", rows=rows, scheme=None, sparsity=None)
    (found,) = find_measured([str(tmp_path)], {}, print)
    assert [(row.name, row.ppl_change) for row in found.rows] == [("b", 2.0), ("a", 2.0)]
    assert found.label == "every class to about 90%"


def test_a_sensitivity_file_without_a_tag_is_of_the_model_of_its_checkpoint(tmp_path: Path) -> None:
    tiny.add_sensitivity(tmp_path, "class-blind", tags={}, checkpoint="a.pt")
    assert find_measured([str(tmp_path)], {"a.pt": "mine"}, print)[0].model == "mine"
