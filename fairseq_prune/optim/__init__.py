"""Learning-rate schedules of papers that fairseq lacks."""

# those that need --user-dir fairseq_prune
SCHEDULERS = ("halving",)


def register() -> None:
    """Make them known to fairseq; calling again changes nothing."""
    from fairseq_prune.optim import halving  # noqa: F401
