"""Whether a checkpoint file keeps what its masks promise, damaged files included."""

from fairseq_prune.checkpoints.audit import Audit, audit, damage
from fairseq_prune.tasks.opening import open_checkpoint


def check_expected(expected: float | None) -> None:
    """Raise ValueError where this is no sparsity that a checkpoint could have."""
    if expected is not None and not 0.0 <= expected < 1.0:
        raise ValueError(
            f"--expect {expected:g} is outside [0, 1): it is the fraction removed, e.g. 0.8 for "
            "80%."
        )


def verified(path: str, masks_from: str | None = None, expected: float | None = None) -> Audit:
    """What is right and wrong with the file at ``path``.

    Args:
        masks_from, expected: see :func:`fairseq_prune.checkpoints.audit.audit`.

    Raises ValueError where the file cannot be used or has no masks to look at.
    """
    damaged = None if masks_from else damage(path)
    if damaged:
        return Audit(path, problems=[damaged])
    return audit(open_checkpoint(path, torn=True), masks_from, expected)
