"""Saliencies: one paper a file. To add one, write its file and a line in SALIENCIES."""

from dataclasses import dataclass
from typing import Literal

from fairseq_prune.saliency.grasp import grasp
from fairseq_prune.saliency.magnitude import magnitude
from fairseq_prune.saliency.obd import obd, obd_adam, obd_hutchinson
from fairseq_prune.saliency.probe import Probe, Saliency
from fairseq_prune.saliency.random import random
from fairseq_prune.saliency.snip import snip
from fairseq_prune.saliency.synflow import ROUNDS, synflow
from fairseq_prune.saliency.taylor import taylor
from fairseq_prune.saliency.wanda import wanda

__all__ = ["SALIENCIES", "Entry", "Probe", "Saliency"]


@dataclass(frozen=True)
class Entry:
    """A registered saliency.

    Args:
        score: the saliency itself.
        summary: one line for --help and the README's table.
        paper: author and year.
        needs: what it looks at beside the weights: "data" (batches to score on), "adam" (the
            second moments of a trained checkpoint), "network" (a linear copy of it), or None.
        rounds: in how many rounds it prunes, density d^(k / rounds) after the k-th.
    """

    score: Saliency
    summary: str
    paper: str
    needs: Literal["data", "adam", "network"] | None = None
    rounds: int = 1


SALIENCIES: dict[str, Entry] = {
    "magnitude": Entry(magnitude, "the absolute value of the weight", "See et al. 2016"),
    "random": Entry(random, "a random number, the control", "See et al. 2016"),
    "snip": Entry(snip, "|w g|, g the gradient over the sample", "Lee et al. 2019", "data"),
    "taylor": Entry(taylor, "(w g)^2 averaged over batches", "Molchanov et al. 2019", "data"),
    "grasp": Entry(grasp, "w (H g), H the Hessian", "Wang et al. 2020", "data"),
    "obd": Entry(
        obd, "h w^2 / 2, h the squared gradient of each example", "LeCun et al. 1990", "data"
    ),
    "obd-hutchinson": Entry(
        obd_hutchinson, "h w^2 / 2, h the Hessian's diagonal by random signs", "LeCun et al. 1990",
        "data",
    ),
    "obd-adam": Entry(
        obd_adam, "h w^2 / 2, h Adam's second moments", "LeCun et al. 1990", "adam"
    ),
    "wanda": Entry(wanda, "|w| times the norm of its input", "Sun et al. 2023", "data"),
    "synflow": Entry(
        synflow, "|w| dR/d|w|, R the flow through a linear copy", "Tanaka et al. 2020", "network",
        ROUNDS,
    ),
}  # fmt: skip
