"""Which checkpoints of a run are taken: its newest, or its best, by the names that fairseq gives.

fairseq saves ``checkpoint7.pt`` after epoch 7, ``checkpoint_7_5000.pt`` in epoch 7 after 5000
updates, and, with --keep-best-checkpoints, ``checkpoint.best_loss_3.1420.pt``: a score of three
digits and a random one, which resolves ties (fairseq/checkpoint_utils.py, save_checkpoint).
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.checkpoints import EPOCH, UPDATE
from fairseq_prune.checkpoints.storage import CheckpointError, load
from fairseq_prune.network.options import architecture, task_name

EARLIER = "earlier."  # before the name of a file that was the best of another sparsity
_NUMBERED = {
    EPOCH: (re.compile(r"checkpoint(\d+)\.pt"), "checkpointN.pt"),
    UPDATE: (re.compile(r"checkpoint_\d+_(\d+)\.pt"), "checkpoint_EPOCH_N.pt"),
}
_BEST = re.compile(r"checkpoint\.best_(.+)_(\d+\.?\d*)\.pt")  # fairseq's own


def newest(folder: str, count: int, by: str, up_to: int | None = None) -> list[str]:
    """The paths of a run's newest ``count`` checkpoints, oldest first.

    Args:
        by: EPOCH or UPDATE, which names are looked at.
        up_to: the last epoch, or update, that counts; None for all.

    Raises ValueError where there are fewer, or some are of another run.
    """
    numbered = _numbered(folder, by)
    counting = [item for item in numbered if up_to is None or item[0] <= up_to]
    if len(counting) < count:
        raise ValueError(_too_few(folder, count, by, len(counting), up_to))
    paths = [path for _, path in counting[-count:]]
    _check_one_run(folder, paths, rising=True)
    return paths


def best(folder: str, count: int) -> list[str]:
    """The paths of a run's best ``count`` checkpoints, that of the fewest updates first.

    Whether a lower or a higher score is better is what the files themselves say
    (--maximize-best-checkpoint-metric).

    Raises ValueError where there are fewer, they are of several metrics, or of another run.
    """
    found = [(match[1], float(match[2]), str(path)) for match, path in _matching(folder, _BEST)]
    metrics = sorted({metric for metric, _, _ in found})
    if len(metrics) > 1:
        raise ValueError(
            f"{folder} has best checkpoints by {' and by '.join(metrics)}, whose scores do not "
            "compare: name the files to average."
        )
    if len(found) < count:
        raise ValueError(_too_few_best(folder, count, len(found)))
    contents = {path: load(path) for _, _, path in found}
    name = "maximize_best_checkpoint_metric"
    higher = {bool(_saved(content, "checkpoint").get(name)) for content in contents.values()}
    if len(higher) > 1:
        raise ValueError(
            f"Some of the best checkpoints in {folder} say that a higher {metrics[0]} is better, "
            "and others a lower: they are of different runs; name the files to average."
        )
    ranked = sorted(found, key=lambda item: (item[1], item[2]), reverse=higher == {True})
    paths = [path for _, _, path in ranked[:count]]
    paths.sort(key=lambda path: (_updates(contents[path]), path))
    _check_one_run(folder, paths)
    return paths


def _numbered(folder: str, by: str) -> list[tuple[int, str]]:
    return sorted((int(match[1]), str(path)) for match, path in _matching(folder, _NUMBERED[by][0]))


def _matching(folder: str, rule: re.Pattern[str]) -> list[tuple[re.Match[str], Path]]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be listed ({error.strerror}): give the folder of one run, its "
            "--save-dir."
        ) from None
    return [(match, Path(folder) / name) for name in names if (match := rule.fullmatch(name))]


def _too_few(folder: str, count: int, by: str, found: int, up_to: int | None) -> str:
    other = UPDATE if by == EPOCH else EPOCH
    until = "" if up_to is None else f" up to {by} {up_to}"
    there = len(_numbered(folder, other))
    advice = f"it has {there} by {other}: add --by {other}" if there >= count else (
        "give a smaller number, or name the files to average"
    )  # fmt: skip
    return (
        f"{folder} has {found} checkpoints by {by} ({_NUMBERED[by][1]}){until}, fewer than the "
        f"{count} that are asked for; {advice}."
    )


def _too_few_best(folder: str, count: int, found: int) -> str:
    earlier = len(_matching(folder, re.compile(rf"{re.escape(EARLIER)}.*{_BEST.pattern}")))
    aside = f" ({earlier} more, {EARLIER}*, are of another sparsity and do not count)"
    return (
        f"{folder} has {found} best checkpoints (checkpoint.best_METRIC_SCORE.pt)"
        f"{aside if earlier else ''}, fewer than the {count} that are asked for; fairseq-train "
        f"keeps so many with --keep-best-checkpoints {count}."
    )


def _check_one_run(folder: str, paths: Sequence[str], rising: bool = False) -> None:
    """Raise where two files in a folder were saved by different runs.

    One run has one architecture, task and seed. A folder that was trained into again still has
    files of the run before.

    Args:
        rising: whether each file has to have more updates than the one before.
    """
    contents = [load(path) for path in paths]
    for number in range(1, len(paths)):
        before, after = contents[number - 1], contents[number]
        why, updates = _apart(before, after), (_updates(before), _updates(after))
        if not why and rising and -1 not in updates and updates[0] >= updates[1]:
            why = f"have {updates[0]:,} and {updates[1]:,} updates"
        if why:
            raise CheckpointError(
                f"{paths[number - 1]} and {Path(paths[number]).name} {why}: they are of different "
                "runs; name the files to average them all the same."
            )


def _apart(one: Mapping[str, Any], two: Mapping[str, Any]) -> str:
    """What two files of one run would have alike, or nothing."""
    facts = {
        "the architectures": (architecture(one), architecture(two)),
        "the tasks": (task_name(one), task_name(two)),
        "the seeds": (_saved(one, "common").get("seed"), _saved(two, "common").get("seed")),
    }
    for what, (mine, theirs) in facts.items():
        if None not in (mine, theirs) and mine != theirs:
            return f"have {what} {mine} and {theirs}"
    return ""


def _saved(content: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """Settings of a part of fairseq; before 0.10 all parts are in ``args``."""
    config, old = content.get("cfg"), content.get("args")
    if isinstance(config, Mapping):
        part = config.get(section)
        return part if isinstance(part, Mapping) else {}
    return vars(old) if hasattr(old, "__dict__") else {}


def _updates(content: Mapping[str, Any]) -> int:
    """How many updates a file's training had completed; -1 where it does not say."""
    history = content.get("optimizer_history") or [{}]
    last = history[-1] if isinstance(history[-1], Mapping) else {}
    found = last.get("num_updates")
    return found if isinstance(found, int) else -1
