"""fairseq's train.log: validation loss by update, and when weights were pruned."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from fairseq_prune.files.strict_json import parse

_SUBSET = re.compile(r"\| ([\w.-]+) \| epoch \d+ \| valid on '[^']*' subset \| (.*)")
_JSON = re.compile(r"\| ([\w.-]+) \| (\{.*\})\s*$")
_PRUNED = re.compile(r"\| pruned at update (\d{1,12}) to (\d{1,9}(?:\.\d{1,20})?)\b")
_START = re.compile(r"'finetune_from_model': (None|'[^']*')")
LARGEST = 64 << 20  # bytes read of a log


@dataclass
class Log:
    """What a log says.

    Args:
        losses: negative log-likelihood in bits a token on the validation set, by update; the
            criterion's loss where it is not told apart. Of two of one update, the later counts.
        prunings: the updates before which weights were removed, and the sparsity after each.
        finetuned: whether the run started from a trained model.
    """

    losses: dict[int, float] = field(default_factory=dict)
    prunings: dict[int, float] = field(default_factory=dict)
    finetuned: bool = False
    subset: str = ""  # the validation set that the losses are of: the first that is named


def read_log(path: Path) -> Log:
    """The log, its lines of other kinds left out; empty where it cannot be read."""
    log = Log()
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(LARGEST).split("\n")
    except OSError:
        return log
    for line in lines:
        pruned, start = _PRUNED.search(line), _START.search(line)
        if pruned:
            log.prunings[int(pruned[1])] = float(pruned[2])
        elif start:
            log.finetuned = start[1] != "None"
        else:
            _add_loss(log, line)
    return log


def _add_loss(log: Log, line: str) -> None:
    subset, values = _in_words(line) or _in_json(line) or ("", {})
    loss = values.get("nll_loss", values.get("loss"))
    if loss is None or "num_updates" not in values or subset != (log.subset or subset):
        return
    try:
        log.losses[int(values["num_updates"])] = float(loss)
    except ValueError:  # a line that was cut
        return
    log.subset = subset


def _in_words(line: str) -> tuple[str, dict[str, str]] | None:
    """Subset and values of a line "name value | name value | ..."."""
    found = _SUBSET.search(line)
    if not found:
        return None
    pairs = (part.strip().split(" ") for part in found[2].split("|"))
    return found[1], {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _in_json(line: str) -> tuple[str, dict[str, str]] | None:
    """Subset and values of a line of --log-format json, where names begin with the subset's."""
    found = _JSON.search(line)
    if not found or found[1].startswith("train"):
        return None
    try:
        values = parse(found[2])
    except ValueError:
        return None
    start = f"{found[1]}_"
    return found[1], {str(name).removeprefix(start): str(value) for name, value in values.items()}
