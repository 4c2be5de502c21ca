"""Pruning of sequence-to-sequence models in fairseq: a package and a ``--user-dir`` in one.

``fairseq-train DATA --user-dir fairseq_prune --prune-scheme class-distribution`` is all it takes.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from fairseq_prune.files.layer import check_layer

__version__ = "0.1.0"

# the public names, and the modules that have them: torch is imported when one is asked for
_PUBLIC = {
    **dict.fromkeys(("Checkpoint", "open_checkpoint", "verify"), "interface.checkpoint"),
    **dict.fromkeys(("Translator", "open_translator"), "interface.translator"),
    **dict.fromkeys(("Hold", "Pruning", "hold", "prune"), "interface.module"),
    "Audit": "checkpoints.audit",
    "Masks": "masks.state",
    "register_saliency": "saliency",
    "register_schedule": "maths.schedule",
    "register_scheme": "maths.schemes",
}
__all__ = [  # noqa: F822  (of __getattr__)
    "Audit", "Checkpoint", "Hold", "Masks", "Pruning", "Translator", "hold", "open_checkpoint",
    "open_translator", "prune", "register", "register_saliency", "register_schedule",
    "register_scheme", "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"fairseq_prune.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def register() -> None:
    """Make fairseq's tasks and criterions prune, and ours known to it; again changes nothing.

    ``--user-dir fairseq_prune`` does it, and so does importing this package after fairseq. A
    program that imports it before, and trains with fairseq in its own process, calls it.
    """
    from fairseq_prune import criterions, models, optim, tasks

    tasks.register()
    criterions.register()
    models.register()
    optim.register()
    tasks.look_again(register)


check_layer(Path(__file__).parent)
# fairseq is loaded first whenever this package serves as its --user-dir. Asking for the loaded
# module keeps `import fairseq_prune.maths` and the command line free of fairseq's seconds of
# start-up; programs that import us before fairseq call fairseq_prune.register().
if "fairseq" in sys.modules:
    register()
