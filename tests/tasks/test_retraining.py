"""How a trained model is trained further: half the rate, a third of the time, all else the same."""

from typing import Any

import pytest

import fairseq_prune
from fairseq_prune.tasks.command_line import plain_value, training_flags
from fairseq_prune.tasks.retraining import retraining_flags, trained
from tests.conftest import ARCHES, TRAINING
from tests.tasks.test_command_line import CASES, parsed, settings, typed, words_of

fairseq_prune.register()


def again(words: list[str], *given: str, epochs: int | None = None, **content: Any) -> Any:
    """What fairseq-train makes of the flags that a checkpoint of a training gives."""
    checkpoint = {"cfg": settings(["DATA", *words]), "model": {}, **content}
    return parsed(typed(retraining_flags(checkpoint, given, epochs)))


LSTM = [*ARCHES["lstm"], *TRAINING]


@pytest.mark.parametrize(
    ("words", "epochs", "found"),
    [
        ("--lr 0.01 --max-epoch 12", None, {"lr": [0.005], "max_epoch": 4, "max_update": 0}),
        ("--lr 0.01 --max-epoch 10", None, {"max_epoch": 4}),  # a third and a bit
        ("--lr 0.01 --max-update 1000", None, {"max_epoch": 0, "max_update": 334}),
        ("--lr 0.01 --max-epoch 9 --max-update 90", None, {"max_epoch": 3, "max_update": 30}),
        ("--lr 0.01 --max-epoch 12", 5, {"max_epoch": 5}),
        ("--lr 0.01 --max-update 1000", 5, {"max_epoch": 5, "max_update": 0}),
        ("--lr 0.01,0.004 --max-epoch 3", None, {"lr": [0.005, 0.002], "max_epoch": 1}),
        (
            "--lr 1 --max-epoch 12 --lr-scheduler halving --halve-after 9 --halve-every 1",
            None,
            {"lr": [0.5], "halve_after": "3", "halve_every": "1/3"},
        ),
        (
            "--lr 1 --max-epoch 2 --lr-scheduler polynomial_decay --warmup-updates 100 "
            "--total-num-update 1000",
            None,  # one epoch of two, so that the rate reaches its end with the training
            {"max_epoch": 1, "warmup_updates": 50, "total_num_update": 500.0},
        ),
        (
            "--lr 1 --max-epoch 6 --lr-scheduler inverse_sqrt --warmup-updates 4000",
            3,
            {"max_epoch": 3, "warmup_updates": 2000},
        ),
    ],
)
def test_rate_and_length(words: str, epochs: int | None, found: dict[str, Any]) -> None:
    arguments = again([*LSTM, *words.split()], epochs=epochs)
    made = {name: plain_value(getattr(arguments, name)) for name in found}
    assert made == {name: plain_value(value) for name, value in found.items()}


def test_what_is_given_stands_instead() -> None:
    words = [*LSTM, *"--lr-scheduler inverse_sqrt --warmup-updates 60 --max-epoch 9".split()]
    given = "--lr 0.3 --optimizer sgd --momentum 0.5 --dropout 0.4 --max-update 7".split()
    found = again(words, *given)
    assert (found.lr, found.optimizer, found.momentum) == ([0.3], "sgd", 0.5)
    assert (found.dropout, found.max_update, found.max_epoch) == (0.4, 7, 0)
    assert found.encoder_hidden_size == 16 and not hasattr(found, "adam_betas")
    assert found.warmup_updates == 20  # how long an epoch was is not known: a third
    fixed = again(words, "--lr-scheduler", "fixed")
    assert fixed.lr_scheduler == "fixed" and fixed.max_epoch == 3


@pytest.mark.parametrize("case", CASES)
def test_everything_else_is_as_it_was(case: str) -> None:
    words = [*words_of(case)[1:], "--max-epoch", "3"]
    if "--max-update" in words:
        pytest.skip("ends another way")
    before, after = vars(parsed(["DATA", *words])), vars(again(words))
    changed = {n for n in before if plain_value(before[n]) != plain_value(after.get(n))}
    schedule = {"lr", "max_epoch", "warmup_updates", "halve_after", "halve_every", "cpu"}
    assert changed <= schedule | {"fp16", "memory_efficient_fp16", "no_seed_provided"}
    assert after["max_epoch"] == 1


def test_flags_that_the_machine_does_not_have_are_left_out(monkeypatch: Any) -> None:
    words = [*LSTM, "--max-epoch", "3", "--memory-efficient-fp16"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert not again(words).memory_efficient_fp16 and not again(words).cpu
    assert again(words, "--cpu").cpu
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert again(words).memory_efficient_fp16


def behind(epoch: int, within: int, updates: int) -> dict[str, Any]:
    iterator = {"epoch": epoch, "iterations_in_epoch": within}
    return {
        "extra_state": {"train_iterator": iterator},
        "optimizer_history": [{"num_updates": updates}],
    }


def test_a_training_without_end_counts_what_it_did() -> None:
    assert trained(behind(7, 0, 600)) == (6, 600)
    assert trained(behind(7, 50, 650)) == (7, 650)
    assert trained({}) == (0, 0)
    words = [*LSTM, "--patience", "3", "--lr-scheduler", "inverse_sqrt", "--warmup-updates", "90"]
    assert again(words, **behind(10, 0, 900)).max_epoch == 3
    assert again(words, epochs=1, **behind(10, 0, 900)).warmup_updates == 10
    with pytest.raises(ValueError, match="for how long it was trained: give --epochs N"):
        again(words)


def test_given_words_replace_a_checkpoints_in_its_plain_flags() -> None:
    checkpoint = {"cfg": settings(["DATA", *LSTM]), "model": {}}
    plain = training_flags(checkpoint)
    assert training_flags(checkpoint, ["--clip-norm", "1"]) == [
        *(w for n, w in enumerate(plain) if "--clip-norm" not in (w, plain[n - 1])),
        "--clip-norm",
        "1",
    ]
    with pytest.raises(ValueError, match="unrecognized arguments: --lrr"):
        training_flags(checkpoint, ["--lrr", "1"])
