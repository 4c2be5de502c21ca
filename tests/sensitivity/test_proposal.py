"""Class sparsities from curves: counts, what is left out, and the file."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.maths.select import round_count
from fairseq_prune.pruning.shares import classes_of, read_shares
from fairseq_prune.sensitivity.proposal import (
    HEADER,
    ClassShare,
    as_file,
    as_table,
    predicted,
    propose,
    propose_at_most,
)


def result(**curves: list[tuple[int, float | None]]) -> dict[str, Any]:
    rows = [
        {"class": label, "weights": 100, "removed": removed, "nll": nll}
        for label, points in curves.items()
        for removed, nll in points
    ]
    settings = {"recipe": {"classes": "component"}}
    return {
        "checkpoint": "a b.pt", "sha256": "0" * 64, "dense": {"nll": 1.0}, "rows": rows,
        "settings": settings,
    }  # fmt: skip


def test_the_cheap_class_pays_first() -> None:
    found = result(dear=[(50, 3.0), (90, 9.0)], cheap=[(90, 1.5), (50, 1.1)])
    parts = propose(found, 0.5)
    assert [(p.label, p.removed) for p in parts] == [("dear", 10), ("cheap", 90)]
    assert [p.cost for p in parts] == pytest.approx([0.4, 0.5])
    assert as_table(parts)[-1][:4] == ["all classes", "200", "100", "50.00%"]


def test_what_has_no_perplexity_and_what_lies_beyond_is_not_proposed() -> None:
    broken = result(a=[(50, 1.1), (70, None), (90, 1.0)], b=[(90, 1.1)])
    assert [p.removed for p in propose(broken, 0.7)] == [50, 90]
    with pytest.raises(ValueError, match="beyond the 0.7000 that was measured; give --each larger"):
        propose(broken, 0.71)


COSTS = st.lists(st.floats(-0.5, 9.0), min_size=3, max_size=3)


@given(st.lists(COSTS, min_size=1, max_size=4), st.integers(1, 99))
def test_the_cost_predicted_for_a_target_gives_that_target_or_more(
    costs: list[list[float]], percent: int
) -> None:
    points = {str(n): list(zip((30, 60, 99), c, strict=True)) for n, c in enumerate(costs)}
    found = result(**{n: [(k, 1.0 + cost) for k, cost in curve] for n, curve in points.items()})
    parts = propose(found, percent / 100)
    limit = max(0.0, predicted(parts))
    again = propose_at_most(found, limit)
    removed = sum(p.removed for p in again)
    assert predicted(again) <= limit
    assert removed >= sum(p.removed for p in parts)
    total = 100 * len(costs)
    if removed < 99 * len(costs):  # one weight more costs more than that
        assert predicted(propose(found, (removed + 1) / total)) > limit


def test_a_limit_of_nothing_removes_what_is_predicted_to_help() -> None:
    found = result(helps=[(50, 0.9), (90, 1.5)], costs=[(90, 91.0)])
    assert [p.removed for p in propose_at_most(found, 0.0)] == [56, 0]
    with pytest.raises(ValueError, match="^--at-most nan must be 0 or more: give the bits"):
        propose_at_most(found, float("nan"))


@pytest.mark.parametrize("weights", [1, 3, 7, 1000, 191_360, 10_000_019])
@pytest.mark.parametrize("share", [0.0, 0.123456, 0.5, 0.9999, 1.0])
def test_a_sparsity_stands_for_its_count_and_is_below_one(weights: int, share: float) -> None:
    part = ClassShare("a", weights, int(share * weights), 0.0)
    assert round_count(part.sparsity, weights) == part.removed
    assert 0.0 <= part.sparsity < 1.0


def test_the_file_says_what_it_is_and_is_read_again(tmp_path: Any) -> None:
    found, file = result(dear=[(90, 9.0)], cheap=[(90, 1.5)]), tmp_path / "given"
    parts = propose(found, 0.5)
    file.write_text(as_file(parts, found, "propose 0.5"))
    assert file.read_text().startswith(f"{HEADER}propose 0.5: ")
    assert read_shares(str(file)) == {p.label: p.sparsity for p in parts}
    assert classes_of(str(file)) == "component"
    found["settings"]["recipe"]["classes"] = "my rules"  # a file, wherever the proposal is used
    file.write_text(as_file(parts, found, "propose 0.5"))
    assert classes_of(str(file)) == str(Path("my rules").resolve())
