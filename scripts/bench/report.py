"""How long a report on a large study takes: a made-up folder of 2,000 points, stage by stage.

Points lie as `fairseq-prune study` leaves them, each in a folder of its own with its translations
and sentences: two models, three stages, four schemes, three seeds, and sparsities to taste. A
translation is its reference with words dropped, swapped and repeated, the more the sparser. Cold:
no comparison is known yet; warm: the report is made again.
"""

import argparse
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sacrebleu.metrics import BLEU

from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.sentences import Sentence, write_sentences
from fairseq_prune.report.measure_tables import every_number, sections_of
from fairseq_prune.report.measures import measure
from fairseq_prune.report.points import find_results, read_points
from fairseq_prune.report.report import write_report, write_tables

MODELS, SEEDS = ("lstm", "transformer"), (1, 2, 3)
STAGES = ("pruned", "retrained", "scratch")
SCHEMES = ("class-blind", "class-uniform", "class-distribution", "erk")
PLACES = len(MODELS) * len(SEEDS) * len(STAGES) * len(SCHEMES)


def sentences(count: int, draw: random.Random) -> list[Sentence]:
    """A test set of words as frequent as in texts, 4 to 36 a sentence."""
    words = ["".join(draw.choices("abcdefghijklmnop", k=2 + n % 7)) for n in range(3000)]
    weights = [1 / (n + 1) for n in range(len(words))]
    made = []
    for _ in range(count):
        chosen = draw.choices(range(len(words)), weights, k=draw.randint(4, 36))
        text = " ".join(words[n] for n in chosen)
        made.append(Sentence(text.upper(), text + ".", len(chosen), 100_000 // (1 + max(chosen))))
    return made


def spoil(text: str, harm: float, draw: random.Random) -> str:
    """A translation: ``harm`` of the words are wrong, missing or said again and again."""
    words: list[str] = []
    for word in text.split():
        dice = draw.random() / max(harm, 1e-9)
        words += [word] if dice > 1 else [[], ["no"], [word[::-1]], [word] * 6][int(4 * dice)]
    return " ".join(words)


def points(sparsities: int) -> Iterator[tuple[str, str, str | None, float, int]]:
    """Yields (model, stage, scheme, sparsity, seed)."""
    for model in MODELS:
        for seed in SEEDS:
            yield model, "dense", None, 0.0, seed
            for stage in STAGES:
                for scheme in SCHEMES:
                    for n in range(1, sparsities + 1):
                        yield model, stage, scheme, round(n / (sparsities + 1), 4), seed


def make(folder: Path, count: int, sparsities: int, draw: random.Random) -> int:
    """Make the folder; returns the number of points."""
    test = sentences(count, draw)
    metric = BLEU(references=[[s.reference for s in test]])
    made = 0
    for model, stage, scheme, sparsity, seed in points(sparsities):
        place = folder / "points" / f"{model}-{stage}-{scheme}-{sparsity}-{seed}"
        (place / "hypotheses").mkdir(parents=True)
        lines = [spoil(s.reference, 0.1 + 0.8 * sparsity**3, draw) for s in test]
        (place / "hypotheses" / "best.txt").write_text("".join(f"{line}\n" for line in lines))
        row: dict[str, Any] = {
            "checkpoint": f"{place}/best.pt", "sha256": str(made), "data_digest": "made up",
            "settings": {"gen_subset": "test"},
            "tags": {"model": model, "stage": stage, "seed": str(seed)},
            "scheme": scheme, "saliency": "magnitude" if scheme else None,
            "target": sparsity if scheme else None, "sparsity": sparsity,
            "recipe": f"{scheme}|{sparsity}" if scheme else None, "valid_ppl": 5.0,
            "test_ppl": 5.0, "sentences": count, "hypotheses": "hypotheses/best.txt",
            "bleu": metric.corpus_score(lines, None).score, "chrf": 50.0,
            "bleu_signature": "made up",
        }  # fmt: skip
        row["sentences_file"] = write_sentences(place, row, test)
        results.append(place / "results.jsonl", row)
        made += 1
    return made


def clocks() -> tuple[float, float]:
    """Seconds by the clock, and of CPU time with that of ended processes of ours."""
    used = os.times()
    return used.elapsed, used.user + used.system + used.children_user + used.children_system


def stages(folder: Path, output: Path, whole: bool) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yields each stage's name, seconds by the clock and of CPU time."""
    begin = clocks()

    def lap() -> tuple[float, float]:
        nonlocal begin
        last, begin = begin, clocks()
        return begin[0] - last[0], begin[1] - last[1]

    found = read_points(find_results([str(folder)]), [])
    yield "read results", lap()
    measure(found)
    yield "measure, cold", lap()
    measures = measure(found)
    yield "measure, warm", lap()
    sections = sections_of(measures)
    yield "sections", lap()
    write_tables(measures, sections, output)
    yield "tables", lap()
    every_number(measures)
    yield "every number", lap()
    if whole:
        write_report([str(folder)], str(output), "bench", "bench")
        yield "the whole report, warm, with figures", lap()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--no-figures", action="store_true", help="leave out the last stage")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, output = Path(name) / "study", Path(name) / "report"
        output.mkdir()
        sparsities = max(1, round(arguments.points / PLACES))
        made = make(folder, arguments.sentences, sparsities, random.Random(1))
        print(f"{made} points of {arguments.sentences} sentences", flush=True)
        for stage, (wall, cpu) in stages(folder, output, not arguments.no_figures):
            print(f"{stage:40} {wall:7.2f} s, {cpu:7.2f} s of CPU time", flush=True)


if __name__ == "__main__":
    main()
