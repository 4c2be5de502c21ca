"""Random flags: refused in one sentence before the first update, or the run works."""

import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fairseq.trainer import Trainer

from tests.conftest import LSTM, TRAINING, TRANSFORMER, audit_of, train_here
from tests.tasks.plausible import ARCHES as NAMED
from tests.tasks.plausible import SEE, plausible_flags

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
    "--prune-keep-at-least": (1, 4, 0.2, 0, 1.5, "nan"),
    "--prune-multiple": (2, 8, 1, 0),
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


def wild_flags(seed: int) -> list[str]:
    """A command line of fairseq-train, without its data; most are refused."""
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


class Runs:
    """Runs drawn command lines in a folder, and judges how they end."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data, folder
        self.given = folder / "given.txt"
        self.given.write_text("* 0.5\n")

    def file(self, arch: str, flags: Sequence[str]) -> Path:
        """A checkpoint of an architecture after two updates."""
        place = self.folder / f"{arch}-{len(flags)}"
        if not place.exists():
            words = [*NAMED[arch], *TRAINING, "--max-update", "2", *flags]
            train_here([self.data, *words, "--save-dir", place])
        return place / "checkpoint_last.pt"

    def words(self, flags: Sequence[str]) -> list[str]:
        """The flags with names of files in place of DENSE, PRUNED and GIVEN."""
        arch = next((n for n, own in NAMED.items() if list(flags[: len(own)]) == [*own]), "")
        names: dict[str, Callable[[], Path]] = {
            "DENSE": lambda: self.file(arch, []),
            "PRUNED": lambda: self.file(arch, PRUNED),
        }
        words = [str(names[flag]()) if flag in names else flag for flag in flags]
        return [word.replace("GIVEN", str(self.given)) for word in words]

    def outcome(self, seed: int, flags: Sequence[str]) -> str:
        """ "worked", "fairseq: ..." (it fails without us, too), or the sentence of a refusal."""
        words, run = self.words(flags), self.folder / str(seed)
        try:
            end, updates = trained([self.data, *words, "--save-dir", run])
        except Exception as error:
            if fails_alike(error, [self.data, *without_ours(words), "--save-dir", f"{run}-stock"]):
                return f"fairseq: {error!r}"
            raise
        if end is not None:
            assert end.code not in (0, None), "it ended as if all were well"
            # which layers layerdrop leaves out, no flag says
            late = "they have had no gradient so far" in str(end)
            assert late or not updates, f"refused after {updates} updates: {end}"
            return str(end)
        assert updates >= 1
        look_at(run, pruned=any(map(is_ours, words)) or "PRUNED" in flags)
        if seed % 5 == 0 and "--prune-override" not in words:
            again = [self.data, *words, "--save-dir", run, "--max-update", "5"]
            assert trained(again)[0] is None, "refused when it goes on"
            look_at(run, pruned=False)
        return "worked"


PRUNED = ["--prune-scheme", "class-uniform", "--prune-sparsity", "0.5"]


def trained(words: Sequence[Any]) -> tuple[SystemExit | None, int]:
    """How fairseq-train ended early, if it did, and how many updates it has made."""
    updates: list[int] = []
    step = Trainer.train_step

    def counted(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        result = step(self, *args, **kwargs)
        updates.append(self.get_num_updates())
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", counted)
        try:
            train_here(list(words))
        except SystemExit as end:
            return end, len(updates)
    return None, len(updates)


def is_ours(word: str) -> bool:
    """Whether a word of a command line asks for pruning."""
    return word.startswith("--prune-") and not word.startswith("--prune-keep")


def without_ours(words: Sequence[str]) -> list[str]:
    """The command line of the same training, dense."""
    dense = [word for word in words if not is_ours(word)]
    return [w.removesuffix("_growing").removesuffix("_group_lasso") for w in dense]


def fails_alike(error: Exception, stock: Sequence[Any]) -> bool:
    """Whether fairseq ends with the same error without any flag of ours."""
    try:
        trained(stock)
    except Exception as other:
        return type(other) is type(error)
    return False


def look_at(run: Path, pruned: bool) -> None:
    """What a run has saved is as its masks promise."""
    files = list(run.glob("*.pt"))
    assert files
    for file in files:
        try:
            found = audit_of(str(file))
        except ValueError:
            assert not pruned
            continue
        # a schedule may not have reached its end: the run says so, and verify does
        assert not found.violations and not found.problems, [file, *found.problems]


def check(runs: Runs, seed: int, flags: Sequence[str], capsys: Any) -> str:
    """Runs and judges; the seed and the flags are in what it raises."""
    logging.disable(logging.WARNING)
    try:
        result = runs.outcome(seed, flags)
    except (Exception, AssertionError) as error:
        raise AssertionError(f"seed {seed}: {' '.join(flags)}") from error
    finally:
        logging.disable(logging.NOTSET)
    said = capsys.readouterr().err
    if not (result == "worked" or result.startswith("fairseq: ") or result.isdigit()):
        assert result.startswith("fairseq_prune: ") and "\n" not in result, result
    assert "Traceback" not in said
    return result


# two of the five work, the others are refused
FAST, LONG, CHUNK = (1200, 1203, 1206, 1208, 1209), 300, 50
DRAWS = {"wild": wild_flags, "plausible": plausible_flags}


def test_flags_are_refused_or_work(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs(corpus, tmp_path)
    ends = [check(runs, seed, wild_flags(seed), capsys) for seed in FAST]
    assert 0 < ends.count("worked") < len(ends)


@pytest.mark.slow
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("first", range(1000, 1000 + LONG, CHUNK))
def test_more_flags_are_refused_or_work(
    first: int, draw: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, runs, ends = [], Runs(corpus, tmp_path), []
    for seed in range(first, first + CHUNK):
        try:
            ends.append(check(runs, seed, DRAWS[draw](seed), capsys))
        except AssertionError as error:
            bad.append(f"{error}: {error.__cause__!r}")
    assert not bad, "\n".join(bad)
    assert draw == "wild" or ends.count("worked") > 0.7 * CHUNK
