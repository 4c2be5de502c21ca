"""A tiny corpus laid out as AG News, and a classifier's training on it."""

import csv
import io
import random
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from scripts.ag_news.binarise import main
from tests.conftest import read, train_here

CLASSIFIER = (
    "--task sentence_prediction --criterion sentence_prediction --num-classes 4 "
    "--arch embedding_bag --embed-dim 8 --optimizer sgd --lr 5 --clip-norm 0.1 --batch-size 16 "
    "--best-checkpoint-metric accuracy --maximize-best-checkpoint-metric --cpu --seed 1 "
    "--no-progress-bar --no-epoch-checkpoints --num-workers 0"
).split()


def write_rows(path: Path, count: int, seed: int) -> Path:
    """Rows whose words tell their class mostly; quotes, commas and entities are in them."""
    draw = random.Random(seed)
    own = [[f"w{c}{n}" for n in range(6)] for c in range(4)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for _ in range(count):
            label = draw.randrange(4)
            text = [draw.choice(own[label] + ["the", "of", "a"]) for _ in range(draw.randint(3, 9))]
            writer.writerow([label + 1, 'It #39;s "so", he said', " ".join(text)])
    return path


def binarise(folder: Path, *flags: Any, fails: bool = False) -> str:
    """What binarise.py says of train.csv and test.csv in ``folder``, its data in folder/data."""
    files = ["--train", folder / "train.csv", "--test", folder / "test.csv"]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in (*files, "--output", folder / "data", *flags)])
    assert code == (2 if fails else 0), err.getvalue()
    return err.getvalue() if fails else out.getvalue()


def train(data: Path, folder: Path, *flags: Any) -> dict[str, Any]:
    """fairseq-train in this process; gives the last checkpoint."""
    train_here([data, *CLASSIFIER, "--save-dir", folder, *flags])
    return read(folder / "checkpoint_last.pt")
