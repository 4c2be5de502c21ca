"""BLEU against tokens a second: models of a study in fairseq (float32) and in CTranslate2 (int8).

The models are those of configs/study/front.yaml, or of a study like it, whose blocks have a name
and that nothing else starts from, the dense one first; of several seeds the first. Speeds are those
of ``fairseq-prune bench``, which is run here: nothing else may run meanwhile. fairseq's BLEU is
that of the study; CTranslate2's translations are made and scored here, from the same binarised test
set.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fairseq_prune.bench.engines import Fairseq
from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.scores import read_lines, score
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports import ctranslate
from fairseq_prune.files.table import Table, as_markdown, as_text
from fairseq_prune.files.writing import write_text
from fairseq_prune.report.chart import canvas, save
from fairseq_prune.study.layout import Laid, look
from fairseq_prune.study.settings import read_study
from fairseq_prune.study.stages import result_of

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
ENGINES = {"fairseq": "fairseq, float32", "ctranslate2-int8": "CTranslate2, int8"}
MARKERS = {"fairseq": "o", "ctranslate2-int8": "^"}


def checkpoints_of(laid: Laid) -> dict[str, Path]:
    """The models by their blocks' names; raises SystemExit where one is not there yet."""
    needed = {point.needs.name for point in laid.points if point.needs is not None}
    found = {}
    for point in laid.points:
        name, folder = dict(point.tags).get("name"), laid.folders[point.name]
        if name in (None, *found) or (point.name in needed and point.needs is not None):
            continue
        if not folder.is_done:
            raise SystemExit(f"{laid.root} has no {name} yet: run fairseq-prune study run first.")
        found[name] = folder.path / result_of(point)
    return found


def bench(checkpoints: dict[str, Path], settings: Settings, folder: Path, more: list[str]) -> Any:
    """What ``fairseq-prune bench`` says of the models."""
    words = [
        sys.executable,
        "-m",
        "fairseq_prune.cli.main",
        "bench",
        *map(str, checkpoints.values()),
    ]
    words += ["--data", settings.data, "--beams", str(settings.beam), "--output", str(folder)]
    subprocess.run([*words, *more], check=True)
    return json.loads((folder / "bench.json").read_text())


def bleu_of_ctranslate2(checkpoint: Path, settings: Settings) -> tuple[float, str]:
    """BLEU and its signature of the model in CTranslate2, int8, on the whole test set."""
    import ctranslate2

    stock = Fairseq(str(checkpoint), Settings(data=settings.data, valid_subset=None, cpu=True))
    with tempfile.TemporaryDirectory() as folder:
        ctranslate.convert(str(checkpoint), settings.data, folder, "int8", force=True)
        translator: Any = ctranslate2.Translator(folder, device="cpu")
        found = translator.translate_batch(
            stock.sentences, beam_size=settings.beam, max_decoding_length=200, max_batch_size=32
        )
    texts = ["".join(one.hypotheses[0]).replace("▁", " ").strip() for one in found]
    scores = score(texts, read_lines(Path(str(settings.reference))))
    return scores.bleu, scores.bleu_signature


def points(checkpoints: dict[str, Path], settings: Settings, said: Any) -> list[dict[str, Any]]:
    """A point for each model and engine, at the first batch size of the bench."""
    batch = said["speeds"][0]["batch"]
    speeds = {s["engine"]: s for s in said["speeds"] if s["batch"] == batch}
    paths = {facts["checkpoint"]: label for label, facts in said["models"].items()}
    found = []
    for name, checkpoint in checkpoints.items():
        label = paths[str(checkpoint)]
        for engine in ENGINES:
            speed = speeds[f"{label}: {engine}"]
            if engine == "fairseq":
                (row,) = results.read(checkpoint.parent / "results.jsonl")
                bleu, signature = row["bleu"], row["bleu_signature"]
            else:
                bleu, signature = bleu_of_ctranslate2(checkpoint, settings)
            found.append({
                "model": name, "engine": engine, "bleu": bleu, "signature": signature,
                "batch": batch, "rate": speed["tokens_per_second"], "rates": speed["rates"],
                "parameters": said["models"][label]["parameters"],
            })  # fmt: skip
    return found


def draw(found: list[dict[str, Any]], path: Path, title: str) -> None:
    """The figure."""
    names = list(dict.fromkeys(point["model"] for point in found))
    with canvas(title, (6.8, 4.6)) as (drawing, axes):
        for point in found:
            low, high = min(point["rates"]), max(point["rates"])
            axes.errorbar(
                [point["rate"]], [point["bleu"]], linestyle="none", markersize=9,
                xerr=[[point["rate"] - low], [high - point["rate"]]],
                color=COLOURS[names.index(point["model"]) % len(COLOURS)],
                marker=MARKERS[point["engine"]],
                label=f"{point['model']}: {ENGINES[point['engine']]}",
            )  # fmt: skip
        axes.set(xscale="log", xlabel="target tokens a second", ylabel="BLEU", title=title)
        low, high = axes.get_xlim()
        ticks = [n * 10**power for power in range(8) for n in (1, 2, 5)]
        ticks = [tick for tick in ticks if low <= tick <= high]
        axes.minorticks_off()
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
        save(drawing, path)


def main() -> None:
    """Measure, and write table.md, front.json and front.png below the study's folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", help="configs/study/front.yaml, or one like it")
    parser.add_argument("folder", type=Path, help="its folder")
    parser.add_argument("--batches", nargs="+", default=["1", "8"], help="default: 1 8")
    parser.add_argument("--sentences", default="100", help="of the test set (default 100)")
    parser.add_argument("--rounds", default="5", help="of the speed measurement (default 5)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    laid = look(read_study(arguments.study), arguments.folder)
    (data,) = laid.study.data.values()
    settings = laid.study.settings(data.at(laid.root / "data" / data.name))
    output = laid.root / "front"
    more = ["--batches", *arguments.batches, "--sentences", arguments.sentences]
    checkpoints = checkpoints_of(laid)
    said = bench(checkpoints, settings, output / "bench", [*more, "--rounds", arguments.rounds])
    found = points(checkpoints, settings, said)
    how = f"beam {settings.beam}, batch {found[0]['batch']}, one thread"
    table = table_of(found)
    signatures = dict.fromkeys(point["signature"] for point in found)
    notes = f"\n{how}; sacreBLEU {', '.join(f'`{one}`' for one in signatures)}\n"
    write_text(output / "table.md", as_markdown(table) + notes)
    write_text(output / "front.json", json.dumps(found, indent=1) + "\n")
    draw(found, output / "front.png", f"Quality for speed, {how}")
    print(as_text(table), end="")
    print(f"{how}; {output}/front.png")


def table_of(found: list[dict[str, Any]]) -> Table:
    """A row a point; speeds beside those of the first model."""
    first = {engine: next(p for p in found if p["engine"] == engine) for engine in ENGINES}
    table = [
        ["model", "parameters", "engine", "BLEU", "tokens/s", "against dense", "against fairseq"]
    ]
    for point in found:
        table.append([
            point["model"], f"{point['parameters']:,}", ENGINES[point["engine"]],
            f"{point['bleu']:.2f}", f"{point['rate']:.0f}",
            f"{point['rate'] / first[point['engine']]['rate']:.2f}x",
            f"{point['rate'] / first['fairseq']['rate']:.2f}x",
        ])  # fmt: skip
    return table


if __name__ == "__main__":
    main()
