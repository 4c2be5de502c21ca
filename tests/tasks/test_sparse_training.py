"""SET, RigL and the rising threshold in real runs: resumed bit for bit, verified, ranks agree."""

from pathlib import Path

import pytest

from fairseq_prune.checkpoints.storage import masks_of
from fairseq_prune.cli.main import main
from tests.conftest import Train, differences, read, trained

RIGL = (
    "--prune-scheme erk --prune-saliency random --prune-schedule rigl --prune-end 8 "
    "--prune-every 2 --prune-score-batches 2"
)
SCHEDULES = {
    "set": "--prune-scheme erk --prune-saliency random --prune-schedule set --prune-end 8 "
    "--prune-every 2",
    "rigl": RIGL,
    "threshold": "--prune-scheme class-blind --prune-schedule gradual-threshold --prune-start 1 "
    "--prune-end 5 --prune-every 2",
    "static": "--prune-scheme class-blind --prune-schedule static --prune-saliency random "
    "--prune-ratios snip --prune-score-batches 2",
}


FAST = {("set", "lstm"), ("rigl", "transformer"), ("threshold", "lstm"), ("static", "lstm")}
CASES = [
    pytest.param(name, arch, marks=() if (name, arch) in FAST else pytest.mark.slow)
    for name in SCHEDULES
    for arch in ("lstm", "transformer")
]


@pytest.mark.parametrize(("name", "arch"), CASES)
def test_a_run_is_resumed_and_verified(train: Train, tmp_path: Path, arch: str, name: str) -> None:
    flags = SCHEDULES[name]
    # cut between two actions, and one that comes just before an action
    straight = train(tmp_path / "straight", "--max-update", 7, *flags.split(), arch=arch)
    for stop in (3, 4):
        cut = train(tmp_path / f"{stop}", "--max-update", 7, *flags.split(), arch=arch, cut=stop)
        is_final = cut["task_state"]["prune"]["acted"] == 5 or name != "threshold"
        code = 0 if is_final else 1  # an unfinished schedule
        assert main(["verify", str(tmp_path / f"{stop}" / "checkpoint_last.pt")]) == code
        resumed = train(tmp_path / f"{stop}", "--max-update", 7, *flags.split(), arch=arch)
        assert differences(trained(straight), trained(resumed)) == []
    assert main(["verify", str(tmp_path / "straight" / "checkpoint_last.pt")]) == 0


@pytest.mark.parametrize("schedule", ["set", "rigl"])
def test_weights_that_come_back_start_from_nothing(
    train: Train, tmp_path: Path, schedule: str
) -> None:
    flags = [
        *SCHEDULES[schedule].split(),
        "--save-interval-updates",
        2,
        "--adam-betas",
        "(0.9,0.5)",
    ]
    # the last exchange is the last thing that happens: what came back has not been updated
    done = train(tmp_path, "--max-update", 4, *flags)
    before = masks_of(read(tmp_path / "checkpoint_1_2.pt"), "")
    after = masks_of(done, "")
    assert before is not None and after is not None
    new = {name: after[name] & ~before[name] for name in after}
    assert sum(int(mask.sum()) for mask in new.values()) > 0
    names = [name for name, _ in done["task_state"]["prune"]["parameters"]]
    for name, mask in new.items():
        assert not bool(done["model"][name][mask].any())
        moments = done["last_optimizer_state"]["state"][names.index(name)]
        assert not bool(moments["exp_avg"][mask].any() or moments["exp_avg_sq"][mask].any())
    on = train(tmp_path, "--max-update", 5, *flags)
    assert any(bool(on["model"][name][mask].any()) for name, mask in new.items())
