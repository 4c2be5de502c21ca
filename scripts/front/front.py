"""BLEU against tokens a second: models in fairseq (float32) and in CTranslate2 (int8).

Speeds are those of ``fairseq-prune bench``, fairseq's BLEU that of ``fairseq-prune evaluate``;
CTranslate2's translations are made and scored here, from the same binarised test set.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from fairseq_prune.bench.engines import Fairseq
from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.scores import read_lines, score
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports import ctranslate
from fairseq_prune.files.table import as_markdown, as_text
from fairseq_prune.files.writing import write_text
from fairseq_prune.report.chart import canvas, save

NAMES = ("dense", "80% of weights", "ffn to 1/4", "ffn to 1/4, heads to 1/2")
ENGINES = {"fairseq": "fairseq, float32", "ctranslate2-int8": "CTranslate2, int8"}
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73")
MARKERS = {"fairseq": "o", "ctranslate2-int8": "^"}


def bleu_of_ctranslate2(checkpoint: str, arguments: argparse.Namespace) -> tuple[float, str]:
    """BLEU and its signature of the model in CTranslate2, int8, on the whole test set."""
    import ctranslate2

    settings = Settings(data=arguments.data, valid_subset=None, cpu=True)
    stock = Fairseq(checkpoint, settings)
    with tempfile.TemporaryDirectory() as folder:
        ctranslate.convert(checkpoint, arguments.data, folder, "int8", force=True)
        translator: Any = ctranslate2.Translator(folder, device="cpu")
        found = translator.translate_batch(
            stock.sentences, beam_size=arguments.beam, max_decoding_length=200, max_batch_size=32
        )
    texts = ["".join(one.hypotheses[0]).replace("▁", " ").strip() for one in found]
    scores = score(texts, read_lines(Path(arguments.reference)))
    return scores.bleu, scores.bleu_signature


def points(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A point for each model and engine, at the first batch size of the bench."""
    bench = json.loads(Path(arguments.bench).read_text())
    file = arguments.results
    rows = {str(results.found_path(row, file).resolve()): row for row in results.read(file)}
    batch = bench["speeds"][0]["batch"]
    speeds = {s["engine"]: s for s in bench["speeds"] if s["batch"] == batch}
    paths = {facts["checkpoint"]: label for label, facts in bench["models"].items()}
    found = []
    for name, checkpoint in zip(NAMES, arguments.checkpoints, strict=True):
        for engine in ENGINES:
            speed = speeds[f"{paths[checkpoint]}: {engine}"]
            if engine == "fairseq":
                row = rows[str(Path(checkpoint).resolve())]
                bleu, signature = row["bleu"], row["bleu_signature"]
            else:
                bleu, signature = bleu_of_ctranslate2(checkpoint, arguments)
            found.append({
                "model": name, "engine": engine, "bleu": bleu, "signature": signature,
                "batch": batch, "rate": speed["tokens_per_second"], "rates": speed["rates"],
                "parameters": bench["models"][paths[checkpoint]]["parameters"],
            })  # fmt: skip
    return found


def draw(found: list[dict[str, Any]], path: Path, title: str) -> None:
    """The figure."""
    with canvas(title, (6.8, 4.6)) as (drawing, axes):
        for number, name in enumerate(NAMES):
            for engine, label in ENGINES.items():
                (point,) = [p for p in found if (p["model"], p["engine"]) == (name, engine)]
                low, high = min(point["rates"]), max(point["rates"])
                axes.errorbar(
                    [point["rate"]], [point["bleu"]], linestyle="none", markersize=9,
                    xerr=[[point["rate"] - low], [high - point["rate"]]],
                    color=COLOURS[number], marker=MARKERS[engine], label=f"{name}: {label}",
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoints", nargs=len(NAMES))
    parser.add_argument("--data", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--results", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--beam", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    found = points(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
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
    how = f"beam {arguments.beam}, batch {found[0]['batch']}, one thread"
    signatures = dict.fromkeys(point["signature"] for point in found)
    notes = f"\n{how}; sacreBLEU {', '.join(f'`{one}`' for one in signatures)}\n"
    write_text(arguments.output / "table.md", as_markdown(table) + notes)
    write_text(arguments.output / "front.json", json.dumps(found, indent=1) + "\n")
    draw(found, arguments.output / "front.png", f"Quality for speed, {how}")
    print(as_text(table), end="")
    print(f"{how}; {arguments.output}/front.png")


if __name__ == "__main__":
    main()
