"""Two ranks on CPU do bit for bit what one process does with --update-freq 2."""

import socket
from pathlib import Path

import pytest

from tests.conftest import ARCHES, BIN, ROOT, TRAINING, differences, read, run, trained

FLAGS = {
    "one-shot": "--prune-scheme class-distribution",
    "gradual, random": (
        "--prune-scheme class-uniform --prune-saliency random "
        "--prune-schedule gradual --prune-end 3 --prune-every 1"
    ),
    "grasp": (
        "--prune-scheme class-uniform --prune-sparsity 0.5 --prune-saliency grasp "
        "--prune-score-batches 2"
    ),
    "wanda": (
        "--prune-scheme class-uniform --prune-sparsity 0.5 --prune-saliency wanda "
        "--prune-score-batches 2"
    ),
    "rigl": (
        "--prune-scheme erk --prune-saliency random --prune-schedule rigl --prune-end 8 "
        "--prune-every 1 --prune-score-batches 2"
    ),
    "heads": (
        "--prune-scheme class-uniform --prune-sparsity 0.5 --prune-structure ffn+heads "
        "--prune-saliency gate --prune-score-batches 2"
    ),
    "growing": (
        "--criterion label_smoothed_cross_entropy_growing --prune-penalty greg-2 "
        "--prune-scheme class-blind --prune-start 3"
    ),
}
# each takes three starts of fairseq, one of them as two processes
LONG = [("lstm", "one-shot"), ("lstm", "gradual, random"), ("lstm", "wanda")]
CASES = [
    *(pytest.param(*case, marks=pytest.mark.slow) for case in LONG),
    ("lstm", "grasp"),
    ("lstm", "rigl"),
    ("transformer", "one-shot"),
    ("transformer", "gradual, random"),
    ("transformer", "heads"),
    ("transformer", "growing"),
]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_two_ranks_equal_two_batches_an_update(
    corpus: Path, tmp_path: Path, arch: str, name: str
) -> None:
    common = [
        corpus, *ARCHES[arch], *TRAINING, "--dropout", 0, "--ddp-backend", "legacy_ddp",
        "--user-dir", ROOT / "fairseq_prune", *FLAGS[name].split(),
    ]  # fmt: skip
    ranks = [
        "torchrun", "--nproc_per_node", 2, "--master_port", free_port(), BIN / "fairseq-train",
        *common, "--distributed-backend", "gloo", "--save-dir", tmp_path / "ranks",
    ]  # fmt: skip
    one = tmp_path / "one"
    run("fairseq-train", *common, "--update-freq", 2, "--max-update", 4, "--save-dir", one)
    run(*ranks, "--max-update", 2)
    run(*ranks, "--max-update", 4)  # and a resume in the middle
    a, b = (read(tmp_path / name / "checkpoint_last.pt") for name in ("one", "ranks"))
    assert (
        a["task_state"]["prune"]["masks"]["digest"] == b["task_state"]["prune"]["masks"]["digest"]
    )
    assert differences(trained(a)["model"], trained(b)["model"]) == []
