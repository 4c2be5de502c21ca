"""The table of scripts/methods_table.sh: BLEU of every method, over seeds."""

import argparse
import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fairseq_prune.evaluation import results
from fairseq_prune.files.table import Table, as_markdown, as_text
from fairseq_prune.files.writing import write_text
from fairseq_prune.pruning.recipe import DEFAULT_SCORE_BATCHES

# model -> (method, percent or "", stage) -> BLEU by seed
Scores = dict[str, dict[tuple[str, str, str], dict[str, float]]]
HEAD = """\
Test BLEU, mean over seeds ± standard deviation, made by `bash scripts/methods_table.sh` (greedy
decoding; the steps of training are in the configurations' sections `dense`, `brief-retrain` and
`brief`). What the names stand for: `configs/prune/methods.txt`. Scoring: in training steps, 32
batches where data is needed, on the models of `scripts/bench/scoring.py`.

Training is not equally long: a model that is pruned when trained has the updates of the first line
after that. A line that says another number starts from new weights (a ticket: from those of an
early update, in rounds) and trains so many updates in all, so many times as many: these lines
compare with each other, not with the others.

"""
SALIENCY_FLAGS = ("--prune-saliency", "--prune-ratios")
STAGES = {"pruned": "after pruning", "trained": "after training"}


def methods_of(path: Path) -> dict[str, list[str]]:
    """The methods' names in their order: when they prune, and the words of their flags."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if "|" in line and line[0] != "#"]
    return {name.strip(): [when.strip(), *flags.split()] for name, when, flags in rows}


def cost_of(words: list[str], costs: Mapping[str, Any], per_batch: list[str]) -> str:
    """What scoring costs in training steps; empty for methods that score more than once.

    Args:
        words: see :func:`methods_of`.
        costs: by saliency, in steps: of a batch for those in ``per_batch``, of all for others.
    """
    if words[0] not in ("after", "before") or "--prune-scheme" not in words or "rigl" in words:
        return ""
    named = [words[words.index(f) + 1] for f in SALIENCY_FLAGS if f in words]
    if "--prune-saliency" not in words:
        named.append("magnitude")
    if not all(name in costs for name in named):
        return ""
    steps = [costs[n] * (DEFAULT_SCORE_BATCHES if n in per_batch else 1) for n in named]
    return f"{sum(steps):.2g}" if sum(steps) < 10 else f"{sum(steps):.0f}"


def lengths_of(config: Path) -> dict[str, int]:
    """The updates of a configuration's sections that give them as ``max-update``."""
    sections = yaml.safe_load(config.read_text(encoding="utf-8"))
    return {name: s["max-update"] for name, s in sections.items() if "max-update" in s}


def label_of(method: str, words: list[str], lengths: Mapping[str, int]) -> str:
    """The method's name, and how long it trained where that is not the length of retraining.

    Args:
        words: see :func:`methods_of`.
        lengths: see :func:`lengths_of`; nothing is said without them.
    """
    if not lengths or words[0] not in ("before", "mask", "tickets"):
        return method
    whole, retrain = lengths["brief"], lengths["brief-retrain"]
    total, text = whole, f"{whole}"
    if words[0] == "tickets":
        rounds, start = (int(words[words.index(f) + 1]) for f in ("--rounds", "--rewind-to"))
        total += rounds * (whole - start)
        text += f" + {rounds} x {whole - start}"
    return f"{method} ({text} updates, {total / retrain:.1f} times)"


def folder_of(name: str) -> str:
    """A method's name as part of a path; as in methods_table.sh."""
    return re.sub(r"[^A-Za-z0-9:.-]", "-", name).replace(":", "of")


def read_scores(out: Path, methods: Iterable[str], percents: list[str]) -> tuple[Scores, set[str]]:
    """All BLEU scores below ``out``, and the sacreBLEU signatures they were made with."""
    places: dict[str, tuple[str, str]] = {"dense": ("dense", "")}
    for method in methods:
        for percent in ("", *percents):
            places[folder_of(method) + (percent and f"-{percent}")] = (method, percent)
    scores: Scores = defaultdict(lambda: defaultdict(dict))
    signatures = set()
    for top, place, row in _rows(out):
        if place.parts[0] not in places:
            continue
        model, _, seed = top.rpartition("-")
        method, percent = places[place.parts[0]]
        stage = "pruned" if place.name == "pruned.pt" else "trained"
        scores[model][method, percent, stage][seed] = float(row["bleu"])
        signatures.add(str(row["bleu_signature"]))
    return scores, signatures


def _rows(out: Path) -> Iterator[tuple[str, Path, Mapping[str, Any]]]:
    for file in sorted(out.glob("*-*/results.jsonl")):
        top = file.parent.name
        for row in results.read(file):
            parts = results.found_path(row, file).parts
            yield top, Path(*parts[len(parts) - parts[::-1].index(top) :]), row


def cell(by_seed: Mapping[str, float] | None, seeds: int) -> str:
    """Mean and standard deviation (n - 1); the number of seeds where some are missing."""
    if not by_seed:
        return ""
    values = list(by_seed.values())
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}" + (
        f" (n={len(values)})" if len(values) < seeds else ""
    )


def table_of(
    model: str,
    scores: Scores,
    methods: Mapping[str, list[str]],
    percents: list[str],
    scoring: Mapping[str, Any],
    lengths: Mapping[str, int] | None = None,
) -> Table:
    """One row a method, two columns a sparsity, and what scoring costs in training steps."""
    lengths = lengths or {}
    mine = scores[model]
    seeds = max(len(by_seed) for by_seed in mine.values())
    header = [f"{model}, {seeds} seeds" if seeds > 1 else f"{model}, one seed"]
    header[0] += f", {lengths['brief-retrain']} updates" if lengths else ""
    header += [f"{percent}%: {text}" for percent in percents for text in STAGES.values()]
    costs, per_batch = scoring.get(model.split("-")[0], {}), scoring.get("per_batch", [])
    table = [[*header, "scoring, steps"] if costs else header]
    for method in ["dense", *methods]:
        price = [cost_of(methods.get(method, [""]), costs, per_batch)] if costs else []
        cells = [
            cell(mine.get((method, percent, stage)), seeds)
            for percent in percents
            for stage in STAGES
        ]
        own = [cell(mine.get((method, "", stage)), seeds) for stage in STAGES]
        label = label_of(method, methods.get(method, [""]), lengths)
        if any(own):
            cells[:2] = own
            label += "" if method.startswith("dense") else " (its own sparsity)"
        if any(cells):
            table.append([label, *cells, *price])
    return table


def main() -> None:
    """Write table.md and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--methods", type=Path, required=True)
    parser.add_argument("--percents", required=True, help="separated by spaces")
    parser.add_argument("--configs", type=Path, nargs="+", required=True, help="of the models")
    parser.add_argument("--scoring", type=Path, help="what scripts/bench/scoring.py --json printed")
    arguments = parser.parse_args()
    methods, percents = methods_of(arguments.methods), arguments.percents.split()
    scores, signatures = read_scores(arguments.out, methods, percents)
    has_costs = arguments.scoring is not None and arguments.scoring.is_file()
    scoring = json.loads(arguments.scoring.read_text()) if has_costs else {}
    lengths = {config.stem: lengths_of(config) for config in arguments.configs}
    tables = [
        table_of(model, scores, methods, percents, scoring, lengths.get(model))
        for model in sorted(scores)
    ]
    for table in tables:
        print(as_text(table))
    text = HEAD + "\n".join(map(as_markdown, tables))
    text += "".join(f"\nsacreBLEU `{signature}`\n" for signature in sorted(signatures))
    target = arguments.out / "table.md"
    write_text(target, text)
    print(f"table: {target}")


if __name__ == "__main__":
    main()
