"""--prune-keep-update: the state after K updates, from which training goes on bit for bit."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.checkpoints.apply import apply_recipe
from fairseq_prune.checkpoints.tickets import rewound, updates_of
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.opening import open_checkpoint
from tests.conftest import Train, audit_of, differences, read, trained

# an epoch of the corpus has 6 or 7 updates
WAYS = {
    "before the first update": ("transformer", 0, "--update-freq 2"),
    "within an epoch": ("lstm", 3, "--lr-scheduler inverse_sqrt --warmup-updates 4"),
    "in the second epoch": ("transformer", 8, "--lr-scheduler inverse_sqrt --warmup-updates 4"),
    "averages": ("lstm", 2, "--store-ema --ema-fp32 --ema-decay 0.9"),
    "factored moments": ("transformer", 2, "--optimizer adafactor"),
    "momentum": ("lstm", 2, "--optimizer nag --momentum 0.9"),
}
NOTHING = Recipe(scheme="class-blind", sparsity=1e-6)  # rounds to no weight at all


def go_back(folder: Path, update: int, recipe: Recipe, rewind: str, to: Path) -> dict[str, Any]:
    """Prune the end of the run in ``folder``, rewind it into ``to``."""
    from fairseq_prune.checkpoints import storage

    kept = open_checkpoint(str(folder / f"checkpoint_update_{update}.pt"))
    end = open_checkpoint(str(folder / "checkpoint_last.pt"))
    content = rewound(kept, end, apply_recipe(end, recipe).record, rewind, {"round": 1})
    storage.save(content, to / "checkpoint_last.pt")
    return content


@pytest.mark.parametrize(("arch", "update", "flags"), WAYS.values(), ids=WAYS)
def test_rewinding_without_pruning_repeats_the_dense_run(
    train: Train, tmp_path: Path, arch: str, update: int, flags: str
) -> None:
    more = ["--max-update", 10, *flags.split()]
    dense = train(tmp_path / "dense", *more, "--prune-keep-update", update, arch=arch)
    assert updates_of(read(tmp_path / "dense" / f"checkpoint_update_{update}.pt")) == update
    go_back(tmp_path / "dense", update, NOTHING, "weights", tmp_path / "again")
    prune = ["--prune-scheme", "class-blind", "--prune-sparsity", 1e-6]
    again = train(tmp_path / "again", *more, *prune, arch=arch)
    found = trained(again)
    assert found.pop("prune")["masks"] is not None
    assert differences({key: trained(dense)[key] for key in found}, found) == []
    assert again["extra_state"]["train_iterator"] == dense["extra_state"]["train_iterator"]


def test_keeping_a_state_changes_nothing(train: Train, tmp_path: Path) -> None:
    flags = ["--max-update", 4, "--save-interval-updates", 3]
    plain = train(tmp_path / "plain", *flags)
    kept = train(tmp_path / "kept", *flags, "--prune-keep-update", 2)
    assert differences(trained(plain), trained(kept)) == []
    for key in ("best", "val_loss", "train_iterator"):
        assert plain["extra_state"][key] == kept["extra_state"][key]
    more = {path.name for path in (tmp_path / "kept").iterdir()}
    assert more - {path.name for path in (tmp_path / "plain").iterdir()} == {
        "checkpoint_update_2.pt"
    }


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_update_0_holds_the_very_weights_that_training_starts_from(
    train: Train, tmp_path: Path, arch: str
) -> None:
    train(tmp_path / "kept", "--max-update", 2, "--prune-keep-update", 0, arch=arch)
    kept = read(tmp_path / "kept" / "checkpoint_update_0.pt")
    # an update of length zero leaves the weights where they were
    still = train(tmp_path / "still", "--max-update", 1, "--lr", 0, arch=arch)
    assert differences(trained(still)["model"], trained(kept)["model"]) == []
    assert kept["extra_state"]["train_iterator"]["iterations_in_epoch"] == 0


def test_update_0_is_a_plain_checkpoint_with_the_masks_that_training_starts_with(
    train: Train, tmp_path: Path
) -> None:
    prune = ["--prune-scheme", "class-blind", "--max-update", 1]
    train(tmp_path / "pruned", *prune)
    start = ["--finetune-from-model", tmp_path / "pruned" / "checkpoint_last.pt"]
    train(tmp_path / "again", *start, "--max-update", 1, "--prune-keep-update", 0)
    kept = tmp_path / "again" / "checkpoint_update_0.pt"
    assert audit_of(str(kept)).ok
    task = read(kept)["cfg"]["task"]
    assert task["_name"] == "translation" and not any(n.startswith("prune") for n in task)


def test_at_the_end_of_an_epoch_the_next_one_is_kept(train: Train, tmp_path: Path) -> None:
    dense = train(tmp_path / "a", "--max-epoch", 1)
    end = updates_of(dense)
    train(tmp_path / "b", "--max-epoch", 2, "--prune-keep-update", end)
    kept = read(tmp_path / "b" / f"checkpoint_update_{end}.pt")
    assert kept["extra_state"]["train_iterator"] == dense["extra_state"]["train_iterator"]
    assert kept["extra_state"]["train_iterator"]["epoch"] == 2
    assert differences(trained(dense), trained(kept)) == []


def test_learning_rate_rewinding_keeps_weights_and_moments_and_takes_the_schedule(
    train: Train, tmp_path: Path
) -> None:
    flags = ["--max-update", 8, "--lr-scheduler", "inverse_sqrt", "--warmup-updates", 2]
    dense = train(tmp_path / "dense", *flags, "--prune-keep-update", 3)
    kept = read(tmp_path / "dense" / "checkpoint_update_3.pt")
    back = go_back(tmp_path / "dense", 3, NOTHING, "learning-rate", tmp_path / "again")
    assert updates_of(back) == 3
    assert back["extra_state"]["train_iterator"] == kept["extra_state"]["train_iterator"]
    assert differences(trained(dense)["model"], trained(back)["model"]) == []
    end, now, then = (c["last_optimizer_state"] for c in (dense, back, kept))
    assert differences(end["state"], now["state"]) == []
    assert now["param_groups"] == then["param_groups"] != end["param_groups"]
    prune = ["--prune-scheme", "class-blind", "--prune-sparsity", 1e-6]
    again = train(tmp_path / "again", *flags, *prune)
    assert updates_of(again) == 8
    assert differences(again["model"], dense["model"]) != []


@pytest.mark.parametrize(
    ("rewind", "flags"),
    [("weights", "--store-ema --ema-fp32 --ema-decay 0.9"), ("learning-rate", "")],
)
def test_a_rewound_checkpoint_has_no_trace_of_what_was_pruned(
    train: Train, tmp_path: Path, rewind: str, flags: str
) -> None:
    from tests.conftest import audit_of

    train(tmp_path / "d", "--max-update", 4, *flags.split(), "--prune-keep-update", 2)
    half = Recipe(scheme="class-uniform", sparsity=0.5)
    go_back(tmp_path / "d", 2, half, rewind, tmp_path / "r")
    found = audit_of(str(tmp_path / "r" / "checkpoint_last.pt"))
    assert found.ok and "optimizer" in found.checked
    assert ("EMA" in found.checked) == bool(flags)


def test_a_negative_update_is_refused(train: Train, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--prune-keep-update -1 must be a number of updates"):
        train(tmp_path, "--max-update", 1, "--prune-keep-update", -1)


def test_the_flag_does_not_stay_in_the_checkpoint(train: Train, tmp_path: Path) -> None:
    dense = train(tmp_path, "--max-update", 2, "--prune-keep-update", 1)
    for content in (dense, read(tmp_path / "checkpoint_update_1.pt")):
        assert not [name for name in content["cfg"]["task"] if name.startswith("prune")]
        assert "prune" not in content["task_state"]
