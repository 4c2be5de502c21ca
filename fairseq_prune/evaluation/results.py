"""Results on disk: one line of JSON a checkpoint, appended as soon as it is known."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.files.strict_json import is_number, parse
from fairseq_prune.files.writing import naming

Row = dict[str, Any]
# what rows say beside what was measured: the same of all checkpoints, or something of each
Tags = Mapping[str, str] | Sequence[Mapping[str, str]] | None

# what a row scores, and its name for people
SCORES = {"bleu": "BLEU", "accuracy": "accuracy"}
# two rows that agree in these are the same measurement
IDENTITY = ("sha256", "data_digest", "settings", "tags")


def identity(row: Mapping[str, Any]) -> str:
    """What was measured, as a string to compare by."""
    return json.dumps([row.get(name) for name in IDENTITY], sort_keys=True)


def tags_of_each(tags: Tags, count: int) -> list[dict[str, str]]:
    """The tags of each of ``count`` checkpoints."""
    if isinstance(tags, Sequence):
        return [dict(own) for own in tags]
    return [dict(tags or {}) for _ in range(count)]


def score_of(row: Mapping[str, Any]) -> str:
    """Which of SCORES a row has; the first where it has none."""
    return next((name for name in SCORES if name in row), next(iter(SCORES)))


def read(path: str | Path, notes: list[str] | None = None, score: str | None = "bleu") -> list[Row]:
    """The rows of a results file, the last of each measurement; none where there is no file.

    Args:
        score: what every row has; None for any of SCORES.

    A line that was cut off while it was written is left out, and one that was measured again is
    replaced by the later one, which ``notes`` are told.
    Raises ValueError where the file is something else.
    """
    rows: dict[str, Row] = {}
    notes = [] if notes is None else notes
    for row in _lines(Path(path), notes, score):
        old, own = rows.pop(identity(row), None), score or score_of(row)
        before, after = None if old is None else old.get(own), row[own]
        if before is not None and after is not None and before != after:
            notes.append(
                f"{path}: {row.get('checkpoint')} was measured twice; {own} "
                f"{float(before):.2f} is replaced by the later {float(after):.2f}."
            )
        rows[identity(row)] = row
    return list(rows.values())


def _lines(path: Path, notes: list[str], score: str | None) -> Iterator[Row]:
    if not path.exists():
        return
    # only a line feed ends a line: sentences may hold other separators
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no results file: it is no text.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = parse(line)
        except ValueError:
            if line.startswith("{"):
                notes.append(f"{path}: line {number} was cut off and is left out.")
                continue
            row = None
        if not isinstance(row, dict) or (score or score_of(row)) not in row:
            raise ValueError(f"{path} is no results file: line {number} is no row of results.")
        try:
            check_row(row, score or score_of(row))
        except ValueError as error:
            raise ValueError(
                f"{path} is no results file: line {number} is no row of results: {error}."
            ) from None
        settings = row.get("settings")
        if isinstance(settings, dict) and settings.get("also") == []:  # as an earlier version said
            del settings["also"]
        yield row


def signatures(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How a row's BLEU scores were made: name and signature of each."""
    if row.get("bleu") is None:
        return []
    about = row.get("bleu_text")  # what was scored, where evaluate was told what the data are
    found = [("sacreBLEU", f"{row.get('bleu_signature')}{f'|{about}' if about else ''}")]
    for name in ("tokenized_bleu", "tokenized_bleu_split"):
        if row.get(name) is not None:
            found.append(("tokenized BLEU", str(row.get(f"{name}_signature"))))
    return found


def kept_path(checkpoint: str, output: str | None) -> str:
    """How a row names a checkpoint: a relative path is one from the folder of the results file, so
    that both can be moved together, and it does not matter where the command ran."""
    if output is None or os.path.isabs(checkpoint):
        return checkpoint
    return os.path.relpath(checkpoint, os.path.dirname(os.path.abspath(output)))


def line_of(row: Row) -> str:
    """A row as a line of a results file."""
    return json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n"


def append(path: str | Path, row: Row) -> None:
    """Add a row in one write, so that two processes may share the file.

    Raises OSError, which names the file, where the disk is full or not writable; what was written
    of the row by then, :func:`read` leaves out.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    line = line_of(row)
    handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(handle).st_size
        # a line that was cut off by a crash must not swallow this one
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = "\n" + line
        with naming(path):
            _write(handle, line.encode("utf-8"))
            os.fsync(handle)
    finally:
        os.close(handle)


def kept(path: Path) -> Iterator[Any]:
    """What :func:`append` kept in a file beside results; none where there is no file.

    A line that was cut off is left out: what it held is computed again.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.split("\n"):
        with contextlib.suppress(ValueError):
            yield parse(line)


def _write(handle: int, data: bytes) -> None:
    # a disk that gets full takes a part without an error: that comes with the rest
    while data:
        data = data[os.write(handle, data) :]


_NUMBERS = (
    "bleu", "accuracy", "loss", "sparsity", "target", "chrf", "valid_ppl", "test_ppl",
    "brevity_penalty", "length_ratio", "tokenized_bleu", "tokenized_bleu_split", "flop_sparsity",
    "removed", "prunable", "parameters", "nonzero", "parameters_before", "zeros", "cpu_hours",
    "unknown_words", "unknown_reference_words", "sparsity_of_all", "sparsity_without_embeddings",
    "bytes", "memory_bytes", "ms_per_sentence", "threads",
)  # fmt: skip
_TEXTS = (
    "checkpoint", "sha256", "data_digest", "scheme", "saliency", "structure", "schedule", "recipe",
    "bleu_signature", "bleu_text", "tokenized_bleu_signature", "tokenized_bleu_split_signature",
    "command", "hypotheses", "masks_digest", "stage", "method", "task", "no_bleu", "processor",
    "form", "engine", "device", "quantization", "compute_type", "exported_from", "memory_of",
)  # fmt: skip


def check_row(row: Mapping[str, Any], needed: str) -> None:
    """Raise ValueError, with what is wrong, where an entry is of another kind than evaluate's.

    Args:
        needed: the score that every row has; BLEU may be missing where the row says why.
    """
    if row.get(needed) is None and not (needed == "bleu" and row.get("no_bleu")):
        raise ValueError(f"it has no {needed}")
    for name in _NUMBERS:
        value = row.get(name)
        if value is not None and not is_number(value):
            raise ValueError(f"its {name} is no number")
    for name in _TEXTS:
        if not isinstance(row.get(name), str | None):
            raise ValueError(f"its {name} is no text")
    for name in ("made", "sources"):
        values = row.get(name)
        if not isinstance(values, list | None) or not all(isinstance(v, str) for v in values or ()):
            raise ValueError(f"its {name} are no texts")
    pair = row.get("multiply_adds")
    if not isinstance(pair, list | None) or not (pair is None or len(pair) == 2):
        raise ValueError("its multiply_adds are no pair")
    if not all(is_number(value) for value in pair or ()):
        raise ValueError("its multiply_adds are no numbers")
    others = row.get("also")
    if not isinstance(others, dict | None):
        raise ValueError("its other subsets have no names")
    for name, scores in (others or {}).items():
        found = scores if isinstance(scores, dict) else {}
        if not is_number(found.get("bleu")) or not is_number(found.get("chrf")):
            raise ValueError(f"its scores of {name} are no numbers")
    for name in ("settings", "tags"):
        if not isinstance(row.get(name), dict | None):
            raise ValueError(f"its {name} have no names")
    if not all(isinstance(value, str) for value in (row.get("tags") or {}).values()):
        raise ValueError("its tags are no texts")
    _check_classes(row.get("classes"))


def _check_classes(classes: Any) -> None:
    if not isinstance(classes, list | None):
        raise ValueError("its classes are no list")
    for one in classes or []:
        share = one.get("sparsity") if isinstance(one, dict) else None
        if not is_number(share) or not isinstance(one.get("name"), str):
            raise ValueError("its classes have no names and sparsities")
