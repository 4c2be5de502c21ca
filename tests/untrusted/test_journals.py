"""What a run left behind to go on from, changed by anybody: taken, or refused in a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fairseq_prune.cli._journal import Journal
from fairseq_prune.cli.sensitivity import _table
from fairseq_prune.cli.tickets import _summary
from fairseq_prune.sensitivity.proposal import as_table, propose
from fairseq_prune.sensitivity.sensitivity_file import Unfinished
from tests.untrusted.damage import FEW, MANY, damaged, spoilt

FUZZ: dict[str, Any] = dict(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
COUNTS = pytest.mark.parametrize("count", [10 * FEW, pytest.param(MANY, marks=pytest.mark.slow)])
HEAD = {
    "kind": "fairseq_prune sensitivity", "format": 1, "sha256": "ab", "tags": {"model": "lstm"},
    "scheme": None, "saliency": "magnitude", "sparsity": None, "subset": "valid",
    "settings": {"with_bleu": True, "beam": 5}, "dense": None, "rows": [], "checkpoint": "a.pt",
}  # fmt: skip
ROW = {
    "class": "a", "weights": 10, "removed": 5, "sparsity": 0.5, "largest_removed": 0.1, "nll": 1.5,
    "ppl": 2.8, "ppl_change": 0.1, "bleu": 20.0, "bleu_change": -1,
}  # fmt: skip
RESULT = {
    **HEAD, "dense": {"ppl": 2.0, "nll": 1.0, "bleu": 21.0}, "rows": [ROW, {**ROW, "class": "b"}]
}  # fmt: skip
DONE = {
    "name": "round-0", "best": {"loss": 3.0}, "survivors": "ab" * 32, "rewound_to": 2,
    "sparsity": 0.5, "updates": 9, "seconds": 1.5,
}  # fmt: skip


def take_result(path: Path) -> None:
    result = Unfinished(HEAD, str(path), force=False)
    result.add({**ROW, "removed": 6}, ["a", "b"])
    if result.dense is not None:
        _table(result.content)
        as_table(propose(result.content, 0.4))


def take_journal(path: Path) -> None:
    journal = Journal(path.parent, path.stem)
    for row in journal.rows(lambda row: {row["name"]: _summary(row)}):
        _summary(row)
    with journal.working({"rounds": 3, "fairseq-train": ["data", "--arch", "lstm"]}):
        pass


FILES: dict[str, tuple[Any, str, Any]] = {
    "result": (take_result, "s.json", RESULT),
    "rows": (take_journal, "t.jsonl", DONE),
    "settings": (take_journal, "t.json", {"rounds": 3, "fairseq-train": ["data", "x", "lstm"]}),
}


def only_refuses(take: Any, path: Path) -> None:
    try:
        take(path)
    except ValueError as error:
        assert "\n" not in str(error), error


@COUNTS
@pytest.mark.parametrize("kind", FILES)
def test_values_where_others_belong(
    kind: str, count: int, tmp_path: Path, watched: list[str], folder: Path
) -> None:
    take, name, sound = FILES[kind]

    @settings(max_examples=count, **FUZZ)
    @given(damaged(sound, tensors=False))
    def one(bad: Any) -> None:
        for old in folder.glob("?.json*"):
            old.unlink()
        try:
            text = json.dumps(bad)
        except TypeError:
            return
        (folder / name).write_text(text + "\n")
        only_refuses(take, folder / name)

    one()


@COUNTS
@pytest.mark.parametrize("kind", FILES)
def test_bytes_that_were_changed_or_cut(
    kind: str, count: int, watched: list[str], folder: Path
) -> None:
    take, name, sound = FILES[kind]
    for bad in spoilt((json.dumps(sound) + "\n").encode(), count):
        for old in folder.glob("?.json*"):
            old.unlink()
        (folder / name).write_bytes(bad)
        only_refuses(take, folder / name)
