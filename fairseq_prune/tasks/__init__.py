"""fairseq tasks that prune. ``fairseq-train --user-dir fairseq_prune`` finds them here."""

from collections.abc import Callable


def register() -> None:
    """Give every task of fairseq the prune flags, under its own name and as ``pruned_NAME``."""
    from fairseq_prune.tasks import _ending
    from fairseq_prune.tasks.any_task import register_all

    register_all()
    _ending.register()


def look_again(register: Callable[[], None]) -> None:
    """Call ``register`` again once other plugins have registered theirs; see tasks/_late.py."""
    from fairseq_prune.tasks._late import watch

    watch(register)
