"""The table of configs/study/methods.yaml: the score of every method, over seeds."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq_prune.evaluation import results
from fairseq_prune.files.table import Table, as_markdown, as_text
from fairseq_prune.files.writing import write_text
from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.pruning.recipe import DEFAULT_SCORE_BATCHES
from fairseq_prune.report.points import spread_of
from fairseq_prune.study.layout import Laid, look
from fairseq_prune.study.point import Point
from fairseq_prune.study.settings import read_study
from fairseq_prune.study.stages import DENSE, STAGES

HEAD = """\
Test BLEU, mean over seeds ± standard deviation, made by `fairseq-prune study run {study}`
and `python scripts/methods/table.py {study}`, which names the methods and their
flags (greedy decoding; the steps of training are in the configurations' sections `dense`,
`brief-retrain` and `brief`). Scoring: in training steps, 32 batches where data is needed, on the
models of `scripts/bench/scoring.py`.

Training is not equally long: a model that is pruned when trained has the updates of the first line
after that. A line that says another number starts from new weights (a ticket: from those of an
early update, in rounds) and trains so many updates in all, so many times as many: these lines
compare with each other, not with the others.

"""
WHEN = ("after pruning", "after training")


@dataclass
class Method:
    """A line of the table, of one model.

    Args:
        label: its name, and how long it trained where that is not the length of retraining.
        cost: of scoring, in training steps; "" where it is not known, or not once.
        scores: by percent removed (None: its own), and whether it was trained; one a seed.
    """

    label: str
    cost: str
    scores: dict[tuple[float | None, bool], list[float]] = field(default_factory=dict)


def methods_of(laid: Laid, model: str, scoring: Mapping[str, Any]) -> dict[str, Method]:
    """The methods of a model that have results, by name; the dense model, then as in the study.

    Args:
        scoring: what scripts/bench/scoring.py says; may be empty.
    """
    retrain = laid.study.models[model].retrain
    updates = retrain.length[1] if retrain else 0.0
    found: dict[str, Method] = {}
    for point in laid.points:
        kind = STAGES[point.stage]
        name = kind.label if kind.is_dense else dict(point.tags).get("name")
        row = _row(laid, point)
        if point.model != model or name is None or row is None:
            continue
        made = Method(name + length_of(point, updates), cost_of(point, scoring))
        method = found.setdefault(name, made)
        percent = None if point.recipe is None else point.recipe.sparsity
        percent = None if percent is None else round(100 * percent, 4)
        place = percent, bool(kind.training)
        method.scores.setdefault(place, []).append(float(row[results.score_of(row)]))
    order = [STAGES[DENSE].label, *(dict(cell.tags).get("name") for cell in laid.study.cells)]
    return {name: found[name] for name in dict.fromkeys(order) if name in found}


def _row(laid: Laid, point: Point) -> results.Row | None:
    folder = laid.folders[point.name]
    rows = results.read(folder.path / "results.jsonl", score=None) if folder.is_done else []
    return rows[0] if rows else None


def length_of(point: Point, updates: float) -> str:
    """How long new weights were trained, in updates and beside ``updates`` of retraining."""
    kind = STAGES[point.stage]
    if kind.is_dense or not kind.new_weights or point.training is None:
        return ""
    unit, whole = point.training.length
    total, text = whole, f"{whole:g}"
    if "rounds" in point.own:
        rounds, start = int(point.own["rounds"]), int(point.own["rewind-to"])
        total += rounds * (whole - start)
        text += f" + {rounds} x {whole - start:g}"
    times = f", {total / updates:.1f} times" if updates else ""
    return f" ({text} {unit}s{times})"


def cost_of(point: Point, scoring: Mapping[str, Any]) -> str:
    """What scoring costs in training steps; empty for methods that score more than once."""
    recipe, costs = point.recipe, scoring.get(point.model, {})
    kind = STAGES[point.stage]
    first = kind.new_weights and point.needs is None and not point.own
    once = first or (kind.removes and not kind.trained)
    if recipe is None or not once:
        return ""
    if SCHEDULES[recipe.schedule or "one-shot"].needs or not set(recipe.saliencies) <= set(costs):
        return ""
    per_batch = scoring.get("per_batch", [])
    steps = sum(costs[n] * (DEFAULT_SCORE_BATCHES if n in per_batch else 1)
                for n in recipe.saliencies)  # fmt: skip
    return f"{steps:.2g}" if steps < 10 else f"{steps:.0f}"


def table_of(laid: Laid, model: str, scoring: Mapping[str, Any]) -> Table:
    """One row a method, two columns a sparsity, and what scoring costs where it is known."""
    methods = methods_of(laid, model, scoring)
    places = {place for method in methods.values() for place in method.scores}
    percents = sorted({percent for percent, _ in places if percent is not None})
    seeds = max((len(s) for m in methods.values() for s in m.scores.values()), default=0)
    retrain = laid.study.models[model].retrain
    head = f"{model}, {seeds} seeds" if seeds > 1 else f"{model}, one seed"
    head += ", {1:g} {0}s".format(*retrain.length) if retrain else ""
    costs = ["scoring, steps"] if any(m.cost for m in methods.values()) else []
    table = [[head, *(f"{percent:g}%: {when}" for percent in percents for when in WHEN), *costs]]
    for method in methods.values():
        cells = [
            _cell(method.scores.get((percent, trained)), seeds)
            for percent in percents
            for trained in (False, True)
        ]
        own = [_cell(method.scores.get((None, trained)), seeds) for trained in (False, True)]
        if any(own):
            cells[:2] = own
        label = method.label + ("" if not any(own) or not own[0] else " (its own sparsity)")
        table.append([label, *cells, *([method.cost] if costs else [])])
    return table


def _cell(scores: Sequence[float] | None, seeds: int) -> str:
    spread = spread_of(scores or [])
    if spread is None:
        return ""
    return spread.text(1) + (f" (n={len(spread.values)})" if len(spread.values) < seeds else "")


def main() -> None:
    """Write table.md and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="configs/study/methods.yaml, or one like it")
    parser.add_argument("folder", type=Path, help="its folder")
    parser.add_argument("--scoring", type=Path, help="what scripts/bench/scoring.py --json says")
    arguments = parser.parse_args()
    laid = look(read_study(arguments.study), arguments.folder)
    said = arguments.scoring.read_text().splitlines()[-1] if arguments.scoring else "{}"
    tables = [table_of(laid, model, json.loads(said)) for model in laid.study.models]
    tables = [table for table in tables if len(table) > 1]
    if not tables:
        raise SystemExit(f"{arguments.folder} holds no results of {arguments.study} yet.")
    print("\n".join(map(as_text, tables)), end="")
    rows = filter(None, (_row(laid, point) for point in laid.points))
    signed = sorted({f"{name} `{made}`" for row in rows for name, made in results.signatures(row)})
    text = HEAD.format(study=arguments.study) + "\n".join(map(as_markdown, tables))
    target = arguments.folder / "table.md"
    write_text(target, text + "".join(f"\n{one}\n" for one in signed))
    print(f"table: {target}")


if __name__ == "__main__":
    main()
