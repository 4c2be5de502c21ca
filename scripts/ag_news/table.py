"""The table and the figure of scripts/ag_news/results.sh: accuracy against what was removed."""

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.classify import SCORE
from fairseq_prune.files.table import Table, as_markdown, as_text
from fairseq_prune.files.writing import write_text

Key = tuple[str, str, str, float]  # stage, scheme, saliency, sparsity asked for
STAGES = ("dense", "pruned before training", "pruned", "pruned + retrained")
HEAD = ["stage", "scheme", "saliency", "sparsity", "FLOP sparsity", "accuracy", "seeds"]


def read(out: Path) -> dict[Key, list[dict[str, Any]]]:
    """The rows below ``out`` by what they measure; those that differ in seed only are together."""
    found: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for file in sorted(out.glob("*/accuracy.jsonl")):
        for row in results.read(file, score=SCORE):
            how = (row["tags"]["stage"], row["scheme"] or "", row["saliency"] or "")
            found[(*how, row["target"] or 0.0)].append(row)
    return dict(sorted(found.items(), key=lambda item: (STAGES.index(item[0][0]), *item[0][1:])))


def spread(values: list[float], digits: int) -> str:
    """Mean and, of several values, standard deviation."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def table(found: dict[Key, list[dict[str, Any]]]) -> Table:
    """A line a point: means over seeds ± standard deviation; sparsities in per cent."""
    lines = [HEAD]
    for (stage, scheme, saliency, _), rows in found.items():
        of = {name: [row[name] for row in rows] for name in ("sparsity", "flop_sparsity", SCORE)}
        sparsity = f"{100 * statistics.fmean(of['sparsity']):.2f}"
        flops = f"{100 * statistics.fmean(of['flop_sparsity']):.2f}"
        lines.append(
            [stage, scheme, saliency, sparsity, flops, spread(of[SCORE], 2), str(len(rows))]
        )
    return lines


def figure(found: dict[Key, list[dict[str, Any]]], path: Path) -> None:
    """Accuracy against sparsity, and against FLOP sparsity; the dense model a dashed line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    canvas, panels = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    curves: dict[tuple[str, str], list[list[dict[str, Any]]]] = defaultdict(list)
    for (stage, _, saliency, _), rows in found.items():
        curves[stage, saliency].append(rows)
    styles = {"pruned before training": "-", "pruned": ":", "pruned + retrained": "--"}
    names = sorted({saliency for _, saliency in curves} - {""})
    for panel, what in zip(panels, ("sparsity", "flop_sparsity"), strict=True):
        for (stage, saliency), points in curves.items():
            mean = [statistics.fmean(row[SCORE] for row in rows) for rows in points]
            if stage == "dense":
                panel.axhline(mean[0], color="black", linewidth=0.8, linestyle="--", label="dense")
                continue
            x = [100 * statistics.fmean(row[what] for row in rows) for rows in points]
            order = sorted(range(len(x)), key=x.__getitem__)
            panel.plot(
                [x[i] for i in order], [mean[i] for i in order], styles[stage], marker="o",
                markersize=4, color=f"C{names.index(saliency)}", label=f"{saliency}, {stage}",
            )  # fmt: skip
        panel.set_xlabel(f"% of {'weights' if what == 'sparsity' else 'multiply-adds'} removed")
    panels[0].set_ylabel("test accuracy, %")
    panels[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    canvas.savefig(path, dpi=110)
    pyplot.close(canvas)


def main() -> int:
    """Write table.md and figure.png; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="OUT of results.sh")
    out: Path = parser.parse_args().out
    found = read(out)
    if not found:
        print(f"ag_news: {out} has no */accuracy.jsonl.", file=sys.stderr)
        return 2
    lines = table(found)
    write_text(out / "table.md", as_markdown(lines))
    figure(found, out / "figure.png")
    print(as_text(lines), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
