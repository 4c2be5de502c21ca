"""Why a checkpoint holds no masks, as far as it says so itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from fairseq_prune.network.options import architecture
from fairseq_prune.pruning.widths import STOCK

_STEPS = "prune_steps"  # in task_state: how the file came to be, the last step last
_NOTE = "pruned"  # what an export keeps of the pruning


def without_masks(content: Mapping[str, Any], path: str) -> str:
    """A sentence for whoever expects masks in the checkpoint at ``path``: where they are."""
    made = made_by(content)
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


def made_by(content: Mapping[str, Any]) -> str:
    """Which command has made a file without masks of which other, or ""."""
    state = content.get("task_state")
    stored = state.get(_STEPS) if isinstance(state, Mapping) else None
    steps = stored.get("steps") if isinstance(stored, Mapping) else None
    steps = [one for one in steps if isinstance(one, Mapping)] if isinstance(steps, list) else []
    kinds = [str(one.get("kind")) for one in steps]
    if kinds[-1:] == ["exported"] or isinstance(content.get(_NOTE), Mapping):
        return "export has made" + _of(steps[-1:])
    if "shrunk" in kinds or architecture(content) in STOCK:
        return "shrink has left" + _of([one for one in steps if one.get("kind") == "shrunk"])
    return ""


def _of(steps: Sequence[Mapping[str, Any]]) -> str:
    name = str(steps[-1].get("file") or "")[:255] if steps else ""
    return f" of {name}" if name else ""
