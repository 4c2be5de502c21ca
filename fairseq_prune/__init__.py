"""Pruning of sequence-to-sequence models in fairseq: a package and a ``--user-dir`` in one.

``fairseq-train DATA --user-dir fairseq_prune --prune-scheme class-distribution`` is all it takes.
"""

import sys

__version__ = "0.1.0"


def register() -> None:
    """Make fairseq's tasks and criterions prune, and ours known to it; again changes nothing."""
    from fairseq_prune import criterions, models, optim, tasks

    tasks.register()
    criterions.register()
    models.register()
    optim.register()
    tasks.look_again(register)


# fairseq is loaded first whenever this package serves as its --user-dir. Asking for the loaded
# module keeps `import fairseq_prune.maths` and the command line free of fairseq's seconds of
# start-up; programs that import us before fairseq call fairseq_prune.register().
if "fairseq" in sys.modules:
    register()
