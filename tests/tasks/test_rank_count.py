"""A run goes on with another number of ranks: masks, schedule and optimizer too."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ARCHES, ROOT, TRAINING, differences, read, run, torchrun, trained

PRUNE = (
    "--prune-scheme class-blind --prune-sparsity 0.7 --prune-schedule gradual --prune-start 1 "
    "--prune-end 7 --prune-every 1 --dropout 0 --ddp-backend legacy_ddp "
    # 12 batches an epoch, so that each number of ranks sees the same ones in each update
    "--batch-size 10 --required-batch-size-multiple 1"
).split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batches", "before", "after", "arch"),
    [(2, 2, 1, "transformer"), (4, 1, 4, "lstm"), (4, 4, 2, "lstm")],
)
def test_another_number_of_ranks_goes_on_where_the_run_was(
    corpus: Path, tmp_path: Path, batches: int, before: int, after: int, arch: str
) -> None:
    def train(name: str, ranks: int, updates: int) -> dict[str, Any]:
        start = ["fairseq-train"] if ranks == 1 else torchrun(ranks)
        run(
            *start, corpus, *ARCHES[arch], *TRAINING, *PRUNE, "--save-dir", tmp_path / name,
            "--user-dir", ROOT / "fairseq_prune", "--distributed-backend", "gloo",
            "--update-freq", batches // ranks, "--max-update", updates,
        )  # fmt: skip
        return trained(read(tmp_path / name / "checkpoint_last.pt"))

    straight = train("straight", 1, 8)
    train("changed", before, 4)  # in the middle of an epoch
    changed = train("changed", after, 8)
    assert changed["prune"]["acted"] == straight["prune"]["acted"] == 7
    # legacy_ddp has gradients of zero for what has none: fairseq's shadow copies get moments
    for number in {*changed["optimizer"]["state"]} - {*straight["optimizer"]["state"]}:
        del changed["optimizer"]["state"][number]
    if batches == 2:
        assert differences(straight, changed) == []
        return
    # of more than two numbers fairseq's sums depend on the order
    assert straight["prune"]["masks"]["digest"] == changed["prune"]["masks"]["digest"]
    for name, value in straight["model"].items():
        torch.testing.assert_close(changed["model"][name], value, rtol=0, atol=1e-5)
    for number, state in straight["optimizer"]["state"].items():
        same = changed["optimizer"]["state"][number]
        assert same["step"] == state["step"]
        torch.testing.assert_close(same["exp_avg"], state["exp_avg"], rtol=0, atol=1e-5)
