"""The front of quality and speed: what it trains, from what, and that it goes on."""

from pathlib import Path

import pytest

from tests.scripts.stubs import NOTE, Study


class Front(Study):
    script = "front.sh"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Front(tmp_path)
    made.add_program(tmp_path / "bin/python", NOTE)
    return made


def test_units_are_pruned_retrained_and_cut_out_one_kind_after_the_other(study: Study) -> None:
    code, out, err = study.run()
    assert (code, err) == (0, "")
    runs = [call.split("--save-dir OUT/small/")[1] for call in study.calls("fairseq-train")]
    assert [run.split()[0] for run in runs].index("ffn-heads") > 1
    start = {run.split()[0]: run.partition("--finetune-from-model ")[2] for run in runs}
    assert start["dense"] == ""
    dense, ffn = "OUT/small/dense/checkpoint_best.pt", "OUT/small/ffn/checkpoint_best.pt"
    assert start["weights"].startswith(f"{dense} --prune-scheme class-blind --prune-sparsity 0.8")
    assert start["ffn"].startswith(f"{dense} --prune-scheme class-uniform --prune-structure ffn")
    assert start["ffn-heads"].startswith(f"{ffn} --prune-scheme class-uniform")
    shrunk = [call.split()[2] for call in study.calls("fairseq-prune shrink")]
    assert sorted(shrunk) == ["OUT/small/ffn-heads/checkpoint_best.pt", ffn]
    (bench,) = study.calls("fairseq-prune bench")
    models = "OUT/small/weights/checkpoint_best.pt OUT/small/ffn/small.pt OUT/small/ffn-heads/small"
    assert bench.startswith(f"fairseq-prune bench {dense} {models}.pt --data DIR/data --beams 5")
    (front,) = study.calls("python")
    assert front.startswith("python ROOT/scripts/front/front.py OUT/small/dense/")


def test_what_is_finished_is_not_done_again(study: Study) -> None:
    study.run()
    code, _, err = study.run()
    assert (code, err) == (0, "")
    assert study.calls("fairseq-train") == []
    assert study.calls("fairseq-prune shrink") == []


def test_a_failed_run_measures_nothing(study: Study) -> None:
    code, _, _ = study.run(BREAKS="ffn")
    assert code == 1
    assert study.calls("fairseq-prune bench") == []
