"""Saliencies: one paper a file. To add one, write its file and a line in SALIENCIES."""

from dataclasses import dataclass
from typing import Literal

from fairseq_prune.saliency.gate import gate
from fairseq_prune.saliency.grasp import grasp
from fairseq_prune.saliency.hagiwara import consuming_energy, goodness_factor, weights_power
from fairseq_prune.saliency.magnitude import magnitude
from fairseq_prune.saliency.mutual_information import mutual_information
from fairseq_prune.saliency.n2ps import n2ps
from fairseq_prune.saliency.obd import obd, obd_adam, obd_hutchinson
from fairseq_prune.saliency.probe import Probe, Saliency, all_zero
from fairseq_prune.saliency.random import random, random_units
from fairseq_prune.saliency.snip import snip
from fairseq_prune.saliency.synflow import ROUNDS, synflow
from fairseq_prune.saliency.taylor import taylor, taylor_units
from fairseq_prune.saliency.wanda import wanda

__all__ = ["SALIENCIES", "UNIT_SALIENCIES", "Entry", "Probe", "Saliency", "all_zero", "every_name"]


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
    "random": Entry(random, "a random number, the control", "none: a control"),
    "snip": Entry(snip, "|w g|, g the gradient over the sample", "Lee et al. 2019", "data"),
    "taylor": Entry(taylor, "(w g)^2 averaged over batches", "Molchanov et al. 2019", "data"),
    "grasp": Entry(
        grasp, "w (H g), H the Hessian; for before training", "Wang et al. 2020", "data"
    ),
    "obd": Entry(
        obd, "h w^2 / 2, h the squared gradient of each example (empirical Fisher)",
        "LeCun et al. 1990", "data",
    ),
    "obd-hutchinson": Entry(
        obd_hutchinson, "h w^2 / 2, h a rough estimate of the Hessian's diagonal by random signs",
        "LeCun et al. 1990; Bekas et al. 2007", "data",
    ),
    "obd-adam": Entry(
        obd_adam, "h w^2 / 2, h Adam's second moments, in the curvature's place",
        "LeCun et al. 1990", "adam",
    ),
    "wanda": Entry(wanda, "|w| times the norm of its input", "Sun et al. 2023", "data"),
    "synflow": Entry(
        synflow, "|w| dR/d|w|, R the flow through a linear copy", "Tanaka et al. 2020", "network",
        ROUNDS,
    ),
}  # fmt: skip

# what scores units, not weights; where a name is in both, this one is for --prune-structure ffn,
# heads, hidden or embedding, and any other saliency of weights is pooled there (--prune-pool)
UNIT_SALIENCIES: dict[str, Entry] = {
    "random": Entry(random_units, "a random number, the control", "none: a control"),
    "taylor": Entry(
        taylor_units, "(sum of w g)^2 over the unit's weights, averaged over batches",
        "Molchanov et al. 2019", "data",
    ),
    "gate": Entry(
        gate, "|dL/dm| of each example, m a gate on the unit's value", "Michel et al. 2019", "data"
    ),
    "n2ps": Entry(
        n2ps, "sum of |w| over what reads the unit, times its mean activation",
        "Augasta & Kathirvalavakumar 2011", "data",
    ),
    "goodness-factor": Entry(
        goodness_factor, "sum of (w o)^2 over what reads the unit, o its activation",
        "Hagiwara 1994", "data",
    ),
    "consuming-energy": Entry(
        consuming_energy, "sum of w o_i o_j, j what reads the unit i", "Hagiwara 1994", "data"
    ),
    "weights-power": Entry(
        weights_power, "sum of w^2 over what reads the unit", "Hagiwara 1994"
    ),
    "mutual-information": Entry(
        mutual_information, "what the unit tells of the loss, less what others tell too",
        "Xing & Hu 2009", "data",
    ),
}  # fmt: skip


def every_name() -> tuple[str, ...]:
    """The names of all saliencies, of weights and of units."""
    return tuple(dict.fromkeys((*SALIENCIES, *UNIT_SALIENCIES)))
