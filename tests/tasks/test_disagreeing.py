"""Ranks whose masks differ stop, all of them, with the names."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.masks.state import Masks
from fairseq_prune.tasks import _ranks
from fairseq_prune.tasks._start import Start
from tests.conftest import ARCHES, BIN, ROOT, TRAINING, read, run, torchrun

GRADUAL = (
    "--prune-scheme class-blind --prune-sparsity 0.7 --prune-schedule gradual --prune-end 3 "
    "--prune-every 1"
).split()
# a --user-dir whose code does something else on the last rank
ODD = """
import os
import fairseq_prune
fairseq_prune.register()
from fairseq_prune.tasks import _session
act, last = _session.act, os.environ["RANK"] == str(int(os.environ["WORLD_SIZE"]) - 1)
def other(recipe, step, probe, notes):
    if last and step == 2:
        {change}
    return act(recipe, step, probe, notes)
_session.act = other
"""
NAME = "decoder.layers.0.weight_ih"


def disagreeing(values: list[Any]) -> Any:
    """A stand-in for the exchange between ranks: what it was asked with is rank 0's."""
    return lambda mine: [mine, *values]


def test_a_message_names_ranks_and_tensors() -> None:
    one = {"a": "1", "b": "1"}
    told = _ranks.disagreement([one, one, {"a": "1", "b": "2"}], [one, one, one], "made now")
    assert told.startswith("The masks made now differ from those of rank 0: rank 2 in b. ")
    assert "weights are the same" in told
    weights = [one, one, {"a": "1", "b": "2"}]
    told = _ranks.disagreement([one, one, {"a": "2", "b": "2"}], weights, "made now")
    assert "rank 2 in b, a. Their weights differ too" in told


def test_a_long_message_is_cut_and_a_rank_without_masks_is_named() -> None:
    many = {f"w{number}": "1" for number in range(9)}
    told = _ranks.disagreement([many, {}], [many, many], "of a.pt")
    assert "rank 1 in w0, w1, w2, w3 and 5 more." in told


def test_masks_that_are_the_same_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = Masks({"a": torch.tensor([True, False])})
    monkeypatch.setattr(_ranks, "several", lambda: True)
    monkeypatch.setattr(_ranks, "from_every_rank", disagreeing([masks.digest()]))
    _ranks.check_same(masks, {}, "now")
    other = {str: "another", dict: {"a": "another"}}
    monkeypatch.setattr(_ranks, "from_every_rank", lambda mine: [mine, other[type(mine)]])
    with pytest.raises(ValueError, match=r"now differ from those of rank 0: rank 1 in a\."):
        _ranks.check_same(masks, {}, "now")


@pytest.mark.parametrize(
    ("others", "named"), [([None], "rank 1"), ([None, "x", None], "ranks 1, 3")]
)
def test_a_file_that_some_ranks_do_not_see_is_refused(
    monkeypatch: pytest.MonkeyPatch, others: list[Any], named: str
) -> None:
    monkeypatch.setattr(_ranks, "from_every_rank", disagreeing(others))
    with pytest.raises(ValueError, match=f"^x is there for other ranks, but not for {named}: "):
        _ranks.check_start(Start("x", True))


def test_a_file_that_all_ranks_see_or_none_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (None, "x"):
        monkeypatch.setattr(_ranks, "from_every_rank", disagreeing([path]))
        _ranks.check_start(Start(path, True))


def stopped(tmp_path: Path, corpus: Path, ranks: int, change: str) -> str:
    """What a run says that one rank's code disturbs."""
    plugin = tmp_path / "odd_rank"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(ODD.format(change=change))
    name, *words = torchrun(ranks)
    command = [
        BIN / name, *words, corpus, *ARCHES["lstm"], *TRAINING, *GRADUAL, "--user-dir", plugin,
        "--ddp-backend", "legacy_ddp", "--distributed-backend", "gloo", "--max-update", 4,
        "--save-dir", tmp_path / "run",
    ]  # fmt: skip
    done = subprocess.run(
        list(map(str, command)), timeout=120, text=True, capture_output=True, check=False
    )
    assert done.returncode != 0, done.stderr[-4000:]
    return done.stdout + done.stderr


CHANGES = {
    "other weights": f"probe.weights['{NAME}'].tensor.data.neg_().add_(0.1)",
    "other masks": "step, recipe = 3, __import__('dataclasses').replace(recipe, sparsity=0.6)",
}


@pytest.mark.parametrize(
    ("change", "ranks"),
    [("other weights", 2), pytest.param("other masks", 4, marks=pytest.mark.slow)],
)
def test_ranks_that_disagree_stop_with_one_sentence_each(
    corpus: Path, tmp_path: Path, change: str, ranks: int
) -> None:
    said = stopped(tmp_path, corpus, ranks, CHANGES[change])
    sentence = "fairseq_prune: The masks made at update 2 differ from those of rank 0: rank"
    first = NAME if change == "other weights" else ""
    assert said.count(f"{sentence} {ranks - 1} in {first}") == ranks
    assert ("differ too" in said) == (change == "other weights")
    assert not (tmp_path / "run" / "crash.pt").exists()


@pytest.mark.slow
def test_a_checkpoint_that_one_rank_does_not_see_stops_both(corpus: Path, tmp_path: Path) -> None:
    common = [
        corpus, *ARCHES["lstm"], *TRAINING, *GRADUAL, "--user-dir", ROOT / "fairseq_prune",
        "--ddp-backend", "legacy_ddp", "--distributed-backend", "gloo", "--save-dir",
    ]  # fmt: skip
    run("fairseq-train", *common, tmp_path / "0", "--max-update", 2)
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(torchrun(2)[-2]), "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            list(map(str, [BIN / "fairseq-train", *common, tmp_path / str(rank)])),
            env=os.environ | where | {"RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    sentence = f"{tmp_path}/0/checkpoint_last.pt is there for other ranks, but not for rank 1: "
    for rank in ranks:
        _, said = rank.communicate(timeout=120)
        assert rank.returncode != 0
        assert f"fairseq_prune: {sentence}" in said


@pytest.mark.slow
def test_where_weights_differ_between_syncs_rank_0_decides(corpus: Path, tmp_path: Path) -> None:
    run(
        *torchrun(2), corpus, *ARCHES["lstm"], *TRAINING, *GRADUAL, "--user-dir",
        ROOT / "fairseq_prune", "--use-bmuf", "--global-sync-iter", 3, "--warmup-iterations", 1,
        "--distributed-backend", "gloo", "--max-update", 7, "--save-dir", tmp_path,
    )  # fmt: skip
    # validation compared them; without the rule the run stops at update 3
    masks = read(tmp_path / "checkpoint_last.pt")["task_state"]["prune"]["masks"]
    assert Masks.unpack(masks, "the run").sparsity() == pytest.approx(0.7, abs=1e-3)
