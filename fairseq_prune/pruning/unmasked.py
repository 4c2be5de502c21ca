"""Why a checkpoint holds no masks, as far as it says so itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from fairseq_prune.network.options import architecture
from fairseq_prune.pruning.steps import EXPORTED, SHRUNK, Step, read_steps
from fairseq_prune.pruning.widths import STOCK

_NOTE = "pruned"  # what an export keeps of the pruning


def without_masks(content: Mapping[str, Any], path: str) -> str:
    """A sentence for whoever expects masks in the checkpoint at ``path``: where they are."""
    made = made_by(content, path)
    if made.startswith("shrink"):
        return (
            f"{path} is what {made}: the pruned units are cut out, and no mask is left to verify; "
            "verify the file that it was cut out of."
        )
    if made:
        return (
            f"{path} is what {made}, without masks: verify the file that it was exported from, or "
            "compare it with --masks-from that file."
        )
    return (
        f"{path} holds no masks: it was never pruned, or all that was pruned is cut out by shrink, "
        "or it was trained further without --user-dir fairseq_prune, which drops them; compare it "
        "with --masks-from PRUNED."
    )


def made_by(content: Mapping[str, Any], path: str) -> str:
    """Which command has made a file without masks, and of which other; "" where none has.

    Raises CheckpointError where the steps in the file are damaged.
    """
    steps = read_steps(content, path)
    kinds = [step.kind for step in steps]
    if kinds[-1:] == [EXPORTED] or isinstance(content.get(_NOTE), Mapping):
        return "export has made" + _of(steps[-1:])
    if SHRUNK in kinds or architecture(content) in STOCK:
        return "shrink has left" + _of([step for step in steps if step.kind == SHRUNK])
    return ""


def _of(steps: Sequence[Step]) -> str:
    return f" of {steps[-1].file}" if steps and steps[-1].file else ""
