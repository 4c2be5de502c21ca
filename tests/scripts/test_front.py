"""The study of quality for speed: what is pruned from what, and which models are measured."""

from pathlib import Path

import pytest

from fairseq_prune.study.layout import Laid, look
from fairseq_prune.study.settings import read_study
from fairseq_prune.study.stages import before, result_of
from scripts.front import front
from tests.conftest import ROOT


@pytest.fixture
def laid(tmp_path: Path) -> Laid:
    return look(read_study(str(ROOT / "configs/study/front.yaml")), tmp_path / "front")


UNITS = {
    "half of cells and columns cut out": "hidden+embedding", "3/4 of ffn cut out": "ffn",
    "half of ffn and heads cut out": "ffn+heads",
}  # fmt: skip


def test_units_are_pruned_retrained_and_cut_out_and_the_dense_model_is_trained_as_long(
    laid: Laid,
) -> None:
    units = {
        dict(p.tags)["name"]: [(q.stage, q.recipe and q.recipe.structure) for q in (p, *before(p))]
        for p in laid.points
        if p.tags
    }
    assert units == {
        "dense": [("longer", None), ("dense", None)],
        "80% of weights zero": [("retrained", None), ("pruned", None), ("dense", None)],
        **{name: [("shrunk", of), ("retrained", of), ("pruned", of), ("dense", None)]
           for name, of in UNITS.items()},
    }  # fmt: skip


def test_the_models_that_are_measured_are_the_last_of_their_kind(laid: Laid) -> None:
    for point in laid.points:
        folder = laid.folders[point.name]
        folder.write("point", {"result": result_of(point), "evaluate": None})
        for name in ("made", "done"):
            folder.write(name, {"seconds": 1.0, "evaluate": None})
        (folder.path / result_of(point)).write_text("")
    found = front.checkpoints_of(laid)
    weights = {"dense": "checkpoint_best.pt", "80% of weights zero": "checkpoint_best.pt"}
    lstm, *transformer = UNITS
    assert {
        model: {name: path.name for name, path in paths.items()} for model, paths in found.items()
    } == {
        "lstm": {**weights, lstm: "shrunk.pt"},
        "transformer": {**weights, **dict.fromkeys(transformer, "shrunk.pt")},
    }
    assert {next(iter(paths)) for paths in found.values()} == {"dense"}


def test_a_study_that_is_not_finished_is_not_measured(laid: Laid) -> None:
    with pytest.raises(SystemExit, match="has no dense yet: run fairseq-prune study run first"):
        front.checkpoints_of(laid)
