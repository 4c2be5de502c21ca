"""What another plugin registers after us: its tasks prune too.

A ``--user-dir`` of one's own may ``import fairseq_prune`` in any place of its ``__init__.py``, and
fairseq imports the files of its folder ``tasks`` after that. So we look again when fairseq reads
the flags, or hydra's settings, and when it sets up a task.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from fairseq import tasks


def watch(register: Callable[[], None]) -> None:
    """Call ``register`` again at these moments; calling this again changes nothing.

    Args:
        register: what makes everything that is registered prune; again, it changes nothing.
    """
    places = (
        (tasks, "setup_task"),
        (sys.modules.get("fairseq.options"), "parse_args_and_arch"),
        (sys.modules.get("fairseq_cli.train"), "add_defaults"),
    )
    for module, name in places:
        found = getattr(module, name, None)
        if found is not None and not hasattr(found, "looks_again"):
            setattr(module, name, _after(register, found))


def _after(register: Callable[[], None], function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        register()
        return function(*args, **kwargs)

    wrapped.looks_again = True  # type: ignore[attr-defined]
    return wrapped
