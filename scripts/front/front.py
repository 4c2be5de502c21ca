"""BLEU against speed: the models of a study in fairseq (float32) and in integers.

The models are those of configs/study/front.yaml, or of a study like it, whose blocks have a name
and that nothing else starts from, the dense one first; of several seeds the first. All numbers are
those of ``fairseq-prune bench``, which is run here once for each of the study's models: nothing
else may run meanwhile.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from fairseq_prune.bench.kinds import KINDS
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.files.table import Table, as_markdown, as_text
from fairseq_prune.files.text import file_name
from fairseq_prune.files.writing import write_text
from fairseq_prune.report.chart import save, sheet
from fairseq_prune.study.layout import Laid, look
from fairseq_prune.study.settings import read_study
from fairseq_prune.study.stages import result_of

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
NAMES = {"fairseq": "fairseq, float32", "ctranslate2-int8": "CTranslate2, int8",
         "torch-int8": "torch, int8"}  # fmt: skip
MARKERS = {"fairseq": "o", "ctranslate2-int8": "^", "torch-int8": "s"}
Checkpoints = dict[str, dict[str, Path]]


def checkpoints_of(laid: Laid) -> Checkpoints:
    """By model, the checkpoints by their blocks' names; raises SystemExit where one is not there
    yet."""
    needed = {point.needs.name for point in laid.points if point.needs is not None}
    found: Checkpoints = {}
    for point in laid.points:
        name, folder = dict(point.tags).get("name"), laid.folders[point.name]
        here = found.setdefault(point.model, {})
        if name in (None, *here) or (point.name in needed and point.needs is not None):
            continue
        if not folder.is_done:
            raise SystemExit(f"{laid.root} has no {name} yet: run fairseq-prune study run first.")
        here[name] = folder.path / result_of(point)
    return found


def bench(
    model: str, checkpoints: dict[str, Path], settings: Settings, folder: Path, more: list[str]
) -> Any:
    """What ``fairseq-prune bench`` says of a model's checkpoints, each named as its block is."""
    links = folder / "models" / model
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir(parents=True)
    paths = {name: links / f"{file_name(name)}.pt" for name in checkpoints}
    for name, path in paths.items():
        path.symlink_to(checkpoints[name].absolute())
    how = {
        "--data": settings.data, "--reference": settings.reference, "--beams": settings.beam,
        "--remove-bpe": settings.remove_bpe, "--max-len-a": settings.max_len_a,
        "--max-len-b": settings.max_len_b, "--output": folder / model,
    }  # fmt: skip
    words = [str(word) for pair in how.items() if pair[1] is not None for word in pair]
    command = [sys.executable, "-m", "fairseq_prune.cli.main", "bench", *map(str, paths.values())]
    first = str(next(iter(checkpoints.values())))
    engines = [name for name in NAMES if KINDS[name].fits(first)]
    subprocess.run([*command, *words, "--engines", *engines, *more], check=True)
    said = json.loads((folder / model / "bench.json").read_text())
    labels = {Path(facts["checkpoint"]): label for label, facts in said["models"].items()}
    said["names"] = {labels[path]: name for name, path in paths.items()}
    return said


def points(model: str, said: Any) -> list[dict[str, Any]]:
    """A point for each checkpoint and engine, at the first batch size of the bench."""
    batch = said["speeds"][0]["batch"]
    speeds = {s["engine"]: s for s in said["speeds"] if s["batch"] == batch}
    quality = {row["engine"]: row for row in said["quality"]}
    return [
        {
            "model": model, "name": said["names"][engine["model"]], "engine": engine["kind"],
            "parameters": said["models"][engine["model"]]["parameters"],
            "bytes": engine["bytes"], "quality": quality[name], "speed": speeds[name],
        }
        for name, engine in said["engines"].items()
    ]  # fmt: skip


def draw(found: list[dict[str, Any]], path: Path, title: str) -> None:
    """The figure: a panel for each model."""
    models = list(dict.fromkeys(point["model"] for point in found))
    with sheet(title, (5.0 * len(models), 5.0)) as drawing:
        drawing.suptitle(title)
        panels = drawing.subplots(1, len(models), squeeze=False)
        for model, axes in zip(models, panels[0], strict=True):
            mine = [point for point in found if point["model"] == model]
            _panel(axes, mine, model)
        save(drawing, path)


def _panel(axes: Any, found: list[dict[str, Any]], title: str) -> None:
    names = list(dict.fromkeys(point["name"] for point in found))
    for point in found:
        rates, bleu = point["speed"]["rates"], point["quality"]["bleu"]
        rate = point["speed"]["tokens_per_second"]
        axes.errorbar(
            [rate], [bleu], xerr=[[rate - min(rates)], [max(rates) - rate]], linestyle="none",
            markersize=8, marker=MARKERS[point["engine"]],
            color=COLOURS[names.index(point["name"]) % len(COLOURS)],
            label=f"{point['name']}: {NAMES[point['engine']]}",
        )  # fmt: skip
    axes.set(xscale="log", xlabel="target tokens a second", ylabel="BLEU", title=title)
    low, high = axes.get_xlim()
    digits = (1, 2, 5) if high > 3 * low else (1, 1.2, 1.4, 1.6, 1.8, *range(2, 10))
    ticks = [round(n * 10**power) for power in range(1, 8) for n in digits]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axes.minorticks_off()
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=8)


def table_of(found: list[dict[str, Any]]) -> Table:
    """A row a point; speeds beside those of the dense model, in the same engine and in fairseq."""
    table = [["model", "engine", "parameters", "MB", "BLEU", "ms a sentence", "95%",
              "tokens/s", "to dense, same engine", "to dense, fairseq"]]  # fmt: skip
    for point in found:
        speed = point["speed"]
        table.append([
            f"{point['model']}, {point['name']}", NAMES[point["engine"]],
            f"{point['parameters']:,}", f"{point['bytes'] / 1e6:.2f}",
            f"{point['quality']['bleu']:.2f}", f"{speed['ms_median']:.2f}", f"{speed['ms_95']:.2f}",
            f"{speed['tokens_per_second']:,.0f}", f"{speed['against_ratio']:.2f}x",
            f"{speed['ratio']:.2f}x",
        ])  # fmt: skip
    return table


def main() -> None:
    """Measure, and write the page's files below the study's folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", help="configs/study/front.yaml, or one like it")
    parser.add_argument("folder", type=Path, help="its folder")
    parser.add_argument("--batches", nargs="+", default=["1", "8", "64"], help="default: 1 8 64")
    parser.add_argument("--sentences", default="100", help="of the test set (default 100)")
    parser.add_argument("--rounds", default="5", help="of the speed measurement (default 5)")
    parser.add_argument("--cpu-time", action="store_true", help="as for bench")
    arguments = parser.parse_args()
    laid = look(read_study(arguments.study), arguments.folder)
    (data,) = laid.study.data.values()
    settings = laid.study.settings(data.at(laid.root / "data" / data.name))
    output, found = laid.root / "front", []
    more = ["--batches", *arguments.batches, "--sentences", arguments.sentences]
    more += ["--rounds", arguments.rounds, *["--cpu-time"] * arguments.cpu_time]
    for model, checkpoints in checkpoints_of(laid).items():
        said = bench(model, checkpoints, settings, output, more)
        found += points(model, said)
        shutil.copyfile(output / model / "table.md", output / f"{model}.md")
    how = f"beam {settings.beam}, batch {arguments.batches[0]}, one thread"
    how += ", CPU time" * arguments.cpu_time
    table = table_of(found)
    signature = found[0]["quality"]["bleu_signature"]
    write_text(output / "table.md", as_markdown(table) + f"\n{how}; sacreBLEU `{signature}`\n")
    write_text(output / "front.json", json.dumps(found, indent=1) + "\n")
    draw(found, output / "front.png", f"Quality for speed, {how}")
    print(as_text(table), end="")
    print(f"{how}; {output}/front.png")


if __name__ == "__main__":
    main()
