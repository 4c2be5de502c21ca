"""Saliencies: one paper a file. To add one, write its file and a line in SALIENCIES."""

from dataclasses import dataclass

from fairseq_prune.saliency.magnitude import magnitude
from fairseq_prune.saliency.probe import Probe, Saliency
from fairseq_prune.saliency.random import random

__all__ = ["SALIENCIES", "Entry", "Probe", "Saliency"]


@dataclass(frozen=True)
class Entry:
    """A registered saliency.

    Args:
        score: the saliency itself.
        summary: one line for --help and the README's table.
        paper: author and year.
    """

    score: Saliency
    summary: str
    paper: str


SALIENCIES: dict[str, Entry] = {
    "magnitude": Entry(magnitude, "the absolute value of the weight", "See et al. 2016"),
    "random": Entry(random, "a random number, the control", "See et al. 2016"),
}
