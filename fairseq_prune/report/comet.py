"""COMET, a neural metric (Rei et al. 2020), by unbabel-comet's program comet-score.

By its program and not by an import: it asks for other versions of numpy and transformers than
fairseq runs with today, so that it lives in an environment of its own.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairseq_prune.evaluation import results
from fairseq_prune.files.strict_json import is_number, parse
from fairseq_prune.files.text import first_line
from fairseq_prune.files.writing import file_digest
from fairseq_prune.report.outputs import Output, read_outputs
from fairseq_prune.report.points import Point, PointKey
from fairseq_prune.study.executors import visible_gpus

PROGRAM = "comet-score"
CACHE = "comet.jsonl"  # beside the results
_KEY = ("system", "references", "model")


def check_comet(model: str) -> None:
    """Raise ValueError, one sentence, where the metric cannot be had."""
    if not Path(model).is_file():
        raise ValueError(
            f"--comet {model} is not a file; give a model of COMET that is on this machine (its "
            "model.ckpt)."
        )
    if shutil.which(PROGRAM) is None:
        raise ValueError(
            f"--comet needs the program {PROGRAM} on the PATH: pip install unbabel-comet, in an "
            "environment of its own."
        )


def with_comet(points: Sequence[Point], model: str) -> list[Point]:
    """The points, and in the rows of those that have translations the mean COMET of these.

    What is computed is kept in ``comet.jsonl`` beside the results.

    Args:
        model: a file of COMET's.

    Raises ValueError where comet-score fails.
    """
    outputs, digest = read_outputs([p for p in points if p.has_text], []), file_digest(model)
    known = _known({p.folder for p in points})
    wanted = {p.key: (outputs[p.key].digest, outputs[p.key].reference.digest, digest)
              for p in points if p.key in outputs}  # fmt: skip
    missing = {key: name for key, name in wanted.items() if name not in known}
    folders = {p.key: p.folder for p in points}
    for keys in _by_reference(missing, outputs):
        for key, score in zip(keys, _scores([outputs[k] for k in keys], model), strict=True):
            known[missing[key]] = score
            row = {**dict(zip(_KEY, missing[key], strict=True)), "comet": score}
            results.append(folders[key] / CACHE, row)
    about = {"comet_signature": f"{Path(model).name}|sha256:{digest[:16]}"}
    return [
        replace(p, row={**p.row, "comet": known[wanted[p.key]], **about}) if p.key in wanted else p
        for p in points
    ]


def _by_reference(
    missing: Mapping[PointKey, Any], outputs: Mapping[PointKey, Output]
) -> list[list[PointKey]]:
    """The points of each test set, one of each translation."""
    groups: dict[str, dict[str, PointKey]] = {}
    for key in missing:
        output = outputs[key]
        groups.setdefault(output.reference.digest, {}).setdefault(output.digest, key)
    return [list(keys.values()) for keys in groups.values()]


def _scores(outputs: Sequence[Output], model: str) -> list[float]:
    sentences = outputs[0].reference.sentences
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _write(folder / "source", [s.source for s in sentences])
        _write(folder / "reference", [s.reference for s in sentences])
        systems = [f"system{number}" for number in range(len(outputs))]
        for name, output in zip(systems, outputs, strict=True):
            _write(folder / name, output.lines)
        command = [
            PROGRAM, "-s", "source", "-t", *systems, "-r", "reference", "--model",
            str(Path(model).absolute()), "--gpus", "1" if visible_gpus() else "0",
            "--to_json", "scores.json", "--quiet",
        ]  # fmt: skip
        # its progress goes to stderr, and stays there
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
        try:
            found = parse((folder / "scores.json").read_bytes())
            return [_mean(found[name], len(sentences)) for name in systems]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            said = first_line(done.stdout.strip().rpartition("\n")[2] or "nothing")
            raise ValueError(
                f"{PROGRAM} ended with exit code {done.returncode} and left no scores; it said: "
                f"{said}"
            ) from None


def _write(path: Path, lines: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line.replace("\r", " ") + "\n" for line in lines)  # it ends a line there


def _mean(rows: Any, count: int) -> float:
    scores = [row["COMET"] for row in rows]
    if len(scores) != count or not all(map(is_number, scores)):
        raise ValueError("other scores")
    return sum(scores) / count


def _known(folders: set[Path]) -> dict[tuple[str, str, str], float]:
    found: dict[tuple[str, str, str], float] = {}
    for row in (row for folder in folders for row in results.kept(folder / CACHE)):
        try:
            system, references, model = (str(row[name]) for name in _KEY)
            score = row["comet"]
        except (TypeError, KeyError):
            continue  # damaged: it is computed again
        if is_number(score):
            found[system, references, model] = float(score)
    return found
