"""Gates: how much the loss would change with a unit's value (Michel, Levy & Neubig 2019)."""

from torch import Tensor

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.probing import mean_over
from fairseq_prune.saliency.probe import Probe


def gate(probe: Probe) -> Scores:
    """The scores |dL_x/dm|, averaged over examples x; m = 1 multiplies the unit's value.

    The paper's equation 2, for heads. Such a gate scales the weights that read the unit, so that
    dL/dm is the sum of w dL/dw over them: any unit can be scored so. The paper then divides by the
    norm of a layer's scores; here, the scheme says who is ranked with whom.
    """

    def changes(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        sums = probe.sums_over_units(probe.times_weight(gradients), part="readers")
        return {name: value.abs() for name, value in sums.items()}

    return probe.unit_scores(mean_over(probe.data, probe.weights, changes, by_example=True))
