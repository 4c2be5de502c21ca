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


def test_units_are_pruned_retrained_and_cut_out_one_kind_after_the_other(laid: Laid) -> None:
    units = {
        dict(p.tags)["name"]: [(q.stage, q.recipe and q.recipe.structure) for q in (p, *before(p))]
        for p in laid.points
        if p.tags
    }
    ffn = [("retrained", "ffn"), ("pruned", "ffn"), ("dense", None)]
    assert units == {
        "dense": [("dense", None)],
        "80% of weights": [("retrained", None), ("pruned", None), ("dense", None)],
        "ffn": ffn,
        "ffn to 1/4": [("shrunk", "ffn"), *ffn],
        "ffn to 1/4, heads to 1/2": [
            ("shrunk", "heads"), ("retrained", "heads"), ("pruned", "heads"), *ffn,
        ],
    }  # fmt: skip


def test_the_models_that_are_measured_are_the_last_of_their_kind(laid: Laid) -> None:
    for point in laid.points:
        folder = laid.folders[point.name]
        folder.write("point", {"result": result_of(point), "evaluate": None})
        for name in ("made", "done"):
            folder.write(name, {"seconds": 1.0, "evaluate": None})
        (folder.path / result_of(point)).write_text("")
    found = front.checkpoints_of(laid)
    assert {name: path.name for name, path in found.items()} == {
        "dense": "checkpoint_best.pt",
        "80% of weights": "checkpoint_best.pt",
        "ffn to 1/4": "shrunk.pt",
        "ffn to 1/4, heads to 1/2": "shrunk.pt",
    }
    assert list(found)[0] == "dense"


def test_a_study_that_is_not_finished_is_not_measured(laid: Laid) -> None:
    with pytest.raises(SystemExit, match="has no dense yet: run fairseq-prune study run first"):
        front.checkpoints_of(laid)
