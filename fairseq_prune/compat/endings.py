"""How a program ends that met one of our refusals: one sentence, exit code 2, no traceback."""

import sys
from types import TracebackType
from typing import Any

from _fairseq_prune_compat.fairseq_patches import ArchitectureUnknown
from _fairseq_prune_compat.loading import CheckpointRefused, CheckpointUnreadable

_REFUSALS = (ArchitectureUnknown, CheckpointRefused, CheckpointUnreadable)
_REFUSED = 2


def refusals_end_programs() -> None:
    """Ends a program that nothing kept from ending by a refusal; a Python prompt shows it whole."""
    original = sys.excepthook

    def excepthook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> Any:
        if not isinstance(error, _REFUSALS) or hasattr(sys, "ps1") or sys.flags.interactive:
            return original(kind, error, trace)
        print(f"fairseq_prune: {error}", file=sys.stderr)
        raise SystemExit(_REFUSED)  # Python takes the exit code from it

    sys.excepthook = excepthook
