"""Ranks on CPU do what one process does with --update-freq: two of them bit for bit."""

from pathlib import Path

import pytest
import torch

from tests.conftest import ARCHES, ROOT, TRAINING, differences, read, run, torchrun, trained

FLAGS = {
    "one-shot": "--prune-scheme class-distribution",
    "gradual, random": (
        "--prune-scheme class-uniform --prune-saliency random "
        "--prune-schedule gradual --prune-end 3 --prune-every 1"
    ),
    "snip": "--prune-scheme class-blind --prune-saliency snip --prune-score-batches 4",
    "obd, gradual": (
        "--prune-scheme class-blind --prune-saliency obd --prune-score-batches 4 "
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
# each takes three starts of fairseq, two of them as several processes
FAST = [
    ("lstm", "rigl", "no_c10d", 2),
]
LONG = [
    ("transformer", "heads", "legacy_ddp", 2),
    ("lstm", "grasp", "pytorch_ddp", 2),
    ("transformer", "gradual, random", "legacy_ddp", 2),
    ("transformer", "growing", "legacy_ddp", 2),
    ("lstm", "one-shot", "legacy_ddp", 2),
    ("lstm", "gradual, random", "legacy_ddp", 2),
    ("lstm", "wanda", "legacy_ddp", 2),
    ("lstm", "obd, gradual", "c10d", 2),
    ("lstm", "snip", "legacy_ddp", 4),
    ("lstm", "obd, gradual", "pytorch_ddp", 4),
    ("transformer", "one-shot", "c10d", 2),
    ("transformer", "rigl", "pytorch_ddp", 2),
    ("transformer", "grasp", "no_c10d", 4),
    ("transformer", "gradual, random", "pytorch_ddp", 4),
]
CASES = [*FAST, *(pytest.param(*case, marks=pytest.mark.slow) for case in LONG)]
# fairseq gives torch's wrapper a device's number, which torch refuses for a model on CPU
ON_CPU = """
import fairseq_prune
fairseq_prune.register()
from fairseq.models import distributed_fairseq_model as models
stock = models.DistributedDataParallel
def on_cpu(module, device_ids, output_device, **rest):
    return stock(module, **rest)
models.DistributedDataParallel = on_cpu
"""


@pytest.mark.parametrize(("arch", "name", "backend", "ranks"), CASES)
def test_ranks_equal_as_many_batches_an_update(
    corpus: Path, tmp_path: Path, arch: str, name: str, backend: str, ranks: int
) -> None:
    plugin = tmp_path / "on_cpu"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(ON_CPU)
    common = [
        corpus, *ARCHES[arch], *TRAINING, "--dropout", 0, "--ddp-backend", backend,
        "--user-dir", plugin if backend in ("c10d", "pytorch_ddp") else ROOT / "fairseq_prune",
        *FLAGS[name].split(), *(["--find-unused-parameters"] if arch == "transformer" else []),
        *(["--batch-size", 10] if ranks > 2 else []),
    ]  # fmt: skip
    several = [
        *torchrun(ranks), *common, "--distributed-backend", "gloo", "--save-dir", tmp_path / "ranks"
    ]  # fmt: skip
    one = tmp_path / "one"
    run("fairseq-train", *common, "--update-freq", ranks, "--max-update", 4, "--save-dir", one)
    # and a resume in the middle, not so early that nothing would be pruned: that is refused
    run(*several, "--max-update", 3 if name == "growing" else 2)
    run(*several, "--max-update", 4)
    a, b = (read(tmp_path / name / "checkpoint_last.pt") for name in ("one", "ranks"))
    assert (
        a["task_state"]["prune"]["masks"]["digest"] == b["task_state"]["prune"]["masks"]["digest"]
    )
    if ranks == 2:
        assert differences(trained(a)["model"], trained(b)["model"]) == []
    # sums of more than two gradients depend on the order, in fairseq without plugin too
    for weight, value in trained(a)["model"].items():
        torch.testing.assert_close(trained(b)["model"][weight], value, rtol=0, atol=1e-4)
