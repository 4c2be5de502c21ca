"""Architectures for networks whose layers differ in width, which fairseq's own cannot say."""


def register() -> None:
    """Make them known to fairseq; calling again changes nothing."""
    from fairseq_prune.models import shrunk_lstm, shrunk_transformer  # noqa: F401
