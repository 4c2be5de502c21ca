"""Random flags: refused in one sentence before the first update, or the run works."""

import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fairseq.trainer import Trainer

from tests.conftest import LSTM, TRAINING, TRANSFORMER, train_here

SEE = (
    "--arch see2016_lstm --encoder-embed-dim 16 --encoder-hidden-size 16 --encoder-layers 2 "
    "--decoder-embed-dim 16 --decoder-hidden-size 16 --decoder-layers 2 --decoder-out-embed-dim 16"
).split()
ARCHES: Sequence[Sequence[str]] = (LSTM, TRANSFORMER, SEE)
SALIENCIES = (
    "magnitude random snip taylor grasp obd obd-hutchinson obd-adam wanda synflow gate n2ps "
    "goodness-factor consuming-energy weights-power mutual-information luck"
).split()
# each flag with values that are right, or wrong, or right with some of the others only
CHOICES: dict[str, Sequence[Any]] = {
    "--prune-scheme": "class-blind class-uniform class-distribution erk given lottery".split(),
    "--prune-sparsity": (0, 0.3, 0.5, 0.99, 1.0, -0.1, "nan"),
    "--prune-saliency": SALIENCIES,
    "--prune-ratios": SALIENCIES,
    "--prune-structure": (
        "weight row block:2x2 block:0x2 2:4 3:2 ffn heads hidden embedding ffn+heads 4 x".split()
    ),
    "--prune-pool": "mean max sum norm median".split(),
    "--prune-schedule": (
        "one-shot gradual gradual-linear gradual-exponential gradual-threshold static set rigl "
        "later"
    ).split(),
    "--prune-start": (0, 1, 5, -1),
    "--prune-end": (1, 2, 9, 0, -3),
    "--prune-every": (1, 3, 0),
    "--prune-ramp": (1, 7),
    "--prune-drop": (0.1, 0.9, 0, 1.5),
    "--prune-classes": "paper layer component tensor colour".split(),
    "--prune-exclude": ("softmax", "embedding", ".", "[", "", ","),
    "--prune-score-batches": (1, 2, 0),
    "--prune-seed": (0, 7, 2**40, -1, 2**70),
    "--prune-given": ("GIVEN", "missing.txt"),
    "--prune-mask-from": ("missing.pt", "GIVEN"),
    "--prune-keep-update": (0, 1, -1),
    "--criterion": (
        "label_smoothed_cross_entropy_growing label_smoothed_cross_entropy_group_lasso"
    ).split(),
    "--prune-penalty-strength": (0, 1, -1),
    "--prune-penalty-ceiling": (1, 1e9, -1),
    "--prune-penalty": ("greg-1", "greg-2", "greg-3"),
    "--optimizer": "sgd nag adagrad adafactor adamax adadelta".split(),
    "--update-freq": (2, "1,2"),
    "--ddp-backend": "legacy_ddp pytorch_ddp no_c10d fully_sharded slowmo".split(),
    "--lr-scheduler": ("halving", "inverse_sqrt"),
    "--halve-after": (1, 0.5, "x", "1/0"),
    "--halve-every": (1, "1/3", 0),
    "--ema-decay": (0.5,),
    "--lr": (0.01, 0.1, "0.01,0.1"),
}
SWITCHES = ("--store-ema", "--ema-fp32", "--prune-override", "--fp16")
# so that something is left after the sieve of what does not go together
ALWAYS = ("--prune-scheme",)
# flags that argparse knows only where another one is given: what that is
ONLY_WITH = {
    "--prune-penalty-strength": "--criterion=label_smoothed_cross_entropy_group_lasso",
    "--prune-penalty-ceiling": "--criterion=label_smoothed_cross_entropy_growing",
    "--prune-penalty": "--criterion=label_smoothed_cross_entropy_growing",
    "--halve-after": "--lr-scheduler=halving",
    "--halve-every": "--lr-scheduler=halving",
}
USUAL = ("--prune-sparsity", "--prune-saliency", "--prune-schedule", "--prune-structure")


def draw_flags(seed: int) -> list[str]:
    """A command line of fairseq-train, without its data."""
    draw = random.Random(seed)
    careful = draw.random() < 0.6  # few flags, none of them wrong by itself
    rare = 0.02 if careful else 0.08
    names = [n for n in CHOICES if draw.random() < (0.45 if n in USUAL else rare)]
    names = list(dict.fromkeys([*(ALWAYS if draw.random() < 0.95 else ()), *names]))
    flags = [*draw.choice(ARCHES), *TRAINING, "--max-update", "2"]
    schedule = ""
    for name in names:
        values = CHOICES[name]
        wrong_too = not careful and draw.random() < 0.4
        value = str(draw.choice(values if wrong_too else values[: max(1, len(values) // 2)]))
        schedule = value if name == "--prune-schedule" else schedule
        flags += [*filter(None, [ONLY_WITH.get(name)]), f"{name}={value}"]
    if schedule.startswith(("gradual", "set", "rigl")) and draw.random() < 0.8:
        flags += ["--prune-end=2", "--prune-every=1"]
    return [*flags, *(switch for switch in SWITCHES if draw.random() < 0.07)]


def outcome(flags: Sequence[str], data: Path, folder: Path) -> str:
    """ "worked", or the sentence with which a run was refused; any other end is an error."""
    folder.mkdir()
    (folder / "given.txt").write_text("* 0.5\n")
    words = [flag.replace("GIVEN", str(folder / "given.txt")) for flag in flags]
    updates: list[int] = []
    step = Trainer.train_step

    def counted(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        result = step(self, *args, **kwargs)
        updates.append(self.get_num_updates())
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", counted)
        try:
            train_here([data, *words, "--save-dir", str(folder / "run")])
        except SystemExit as end:
            assert end.code not in (0, None), "it ended as if all were well"
            assert not updates, f"refused after {updates[-1]} updates: {end}"
            return str(end)
    assert updates and updates[-1] >= 1
    assert (folder / "run" / "checkpoint_last.pt").is_file()
    return "worked"


def check(seed: int, data: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Draws, runs and judges; the seed and the flags are in what it raises."""
    logging.disable(logging.WARNING)
    flags = draw_flags(seed)
    try:
        result = outcome(flags, data, folder)
    except (Exception, AssertionError) as error:
        raise AssertionError(f"seed {seed}: {' '.join(flags)}") from error
    finally:
        logging.disable(logging.NOTSET)
    said = capsys.readouterr().err
    if result != "worked" and not result.isdigit():
        assert result.startswith("fairseq_prune: ") and "\n" not in result, result
    assert "Traceback" not in said
    return result


# two of the five work, the others are refused: a draw that works is rare
FAST, LONG, CHUNK = (1200, 1203, 1206, 1208, 1209), 600, 50


def test_flags_are_refused_or_work(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = [check(seed, corpus, tmp_path / str(seed), capsys) for seed in FAST]
    assert 0 < ends.count("worked") < len(ends)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1000 + LONG, CHUNK))
def test_more_flags_are_refused_or_work(
    first: int, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = []
    for seed in range(first, first + CHUNK):
        try:
            check(seed, corpus, tmp_path / str(seed), capsys)
        except AssertionError as error:
            bad.append(f"{error}: {error.__cause__!r}")
    assert bad == []
