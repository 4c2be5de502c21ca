"""Saliencies: one paper a file.

To add one here, write its file and an entry in SALIENCIES; elsewhere, :func:`register_saliency`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fairseq_prune.files.registry import Lazy, Registry

if TYPE_CHECKING:
    from fairseq_prune.saliency.probe import Probe, Saliency, all_zero

__all__ = [
    "SALIENCIES",
    "UNIT_SALIENCIES",
    "SaliencyEntry",
    "Probe",
    "Saliency",
    "all_zero",
    "every_name",
    "register_saliency",
]


def __getattr__(name: str) -> Any:
    if name in ("Probe", "Saliency", "all_zero"):  # with torch, which --help does without
        return Lazy("fairseq_prune.saliency.probe", name).load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


Needs = Literal["data", "adam", "network"] | None
Score = TypeVar("Score", bound=Callable[..., Any])


@dataclass(frozen=True)
class SaliencyEntry:
    """A registered saliency.

    Args:
        score: the saliency itself.
        summary: one line for --help and the table of the docs.
        paper: author and year.
        needs: what it looks at beside the weights: "data" (batches to score on), "adam" (the
            second moments of a trained checkpoint), "network" (a linear copy of it), or None.
        rounds: in how many rounds it prunes, density d^(k / rounds) after the k-th.
        only: the one kind of units that it scores; None for all.
    """

    score: "Saliency"
    summary: str
    paper: str
    needs: Needs = None
    rounds: int = 1
    only: str | None = None


def _of(
    place: str, summary: str, paper: str, needs: Needs = None, rounds: int = 1,
    only: str | None = None,
) -> SaliencyEntry:  # fmt: skip
    """The entry of a function of this folder: FILE, or FILE:FUNCTION where the names differ."""
    file, _, function = place.partition(":")
    score = Lazy(f"fairseq_prune.saliency.{file}", function or file)
    return SaliencyEntry(score, summary, paper, needs, rounds, only)


SALIENCIES = Registry[SaliencyEntry]("saliency", {
    "magnitude": _of("magnitude", "the absolute value of the weight", "See et al. 2016"),
    "random": _of("random", "a random number, the control", "none: a control"),
    "snip": _of("snip", "|w g|, g the gradient over the sample", "Lee et al. 2019", "data"),
    "taylor": _of(
        "taylor", "(w g)^2 averaged over batches", "Molchanov et al. 2019", "data"
    ),
    "grasp": _of(
        "grasp", "w (H g), H the Hessian; for before training", "Wang et al. 2020", "data"
    ),
    "obd": _of(
        "obd", "h w^2 / 2, h the squared gradient of each example (empirical Fisher)",
        "LeCun et al. 1990", "data",
    ),
    "obd-hutchinson": _of(
        "obd:obd_hutchinson",
        "h w^2 / 2, h a rough estimate of the Hessian's diagonal by random signs",
        "LeCun et al. 1990; Bekas et al. 2007", "data",
    ),
    "obd-adam": _of(
        "obd:obd_adam", "h w^2 / 2, h Adam's second moments, in the curvature's place",
        "LeCun et al. 1990", "adam",
    ),
    "wanda": _of("wanda", "|w| times the norm of its input", "Sun et al. 2023", "data"),
    "synflow": _of(
        "synflow", "|w| dR/d|w|, R the flow through a linear copy", "Tanaka et al. 2020",
        "network", rounds=100,  # the paper's way past layer collapse
    ),
})  # fmt: skip

# what scores units, not weights; where a name is in both, this one is for --prune-structure ffn,
# heads, hidden, embedding or layers; any other saliency of weights is pooled there (--prune-pool)
UNIT_SALIENCIES = Registry[SaliencyEntry]("saliency", {
    "random": _of(
        "random:random_units", "a random number, the control", "none: a control"
    ),
    "taylor": _of(
        "taylor:taylor_units",
        "(sum of w g)^2 over the unit's weights, averaged over batches",
        "Molchanov et al. 2019", "data",
    ),
    "gate": _of(
        "gate", "|dL/dm| of each example, m a gate on the unit's value",
        "Michel et al. 2019", "data",
    ),
    "n2ps": _of(
        "n2ps", "sum of |w| over what reads the unit, times its mean activation",
        "Augasta & Kathirvalavakumar 2011", "data",
    ),
    "goodness-factor": _of(
        "hagiwara:goodness_factor",
        "sum of (w o)^2 over what reads the unit, o its activation", "Hagiwara 1994", "data",
    ),
    "consuming-energy": _of(
        "hagiwara:consuming_energy", "sum of w o_i o_j, j what reads the unit i",
        "Hagiwara 1994", "data",
    ),
    "weights-power": _of(
        "hagiwara:weights_power", "sum of w^2 over what reads the unit", "Hagiwara 1994"
    ),
    "mutual-information": _of(
        "mutual_information", "what the unit tells of the loss, less what others tell too",
        "Xing & Hu 2009", "data",
    ),
    "leave-one-out": _of(
        "leave_one_out", "of layers: the loss without the layer", "Kim et al. 2024", "data",
        only="layers",
    ),
    "angular-distance": _of(
        "angular_distance", "of layers: the angle between what comes in and what goes out",
        "Gromov et al. 2024", "data", only="layers",
    ),
})  # fmt: skip


def every_name() -> tuple[str, ...]:
    """The names of all saliencies, of weights and of units."""
    return tuple(dict.fromkeys((*SALIENCIES, *UNIT_SALIENCIES)))


def register_saliency(
    name: str, *, summary: str, paper: str = "", needs: Needs = None, rounds: int = 1,
    units: bool = False,
) -> Callable[[Score], Score]:  # fmt: skip
    """A decorator that makes a function a saliency, for ``--prune-saliency NAME``.

    The function takes a :class:`~fairseq_prune.saliency.probe.Probe` and gives, by name, a tensor
    of a score for each weight of ``probe.weights`` (of its shape; larger is kept), or, with
    ``units``, for each unit of ``probe.axes`` (one dimension).

    Args:
        name: what it is called: small letters, digits and hyphens.
        summary: one line for ``--help``.
        paper: author and year.
        needs: what it looks at beside the weights: ``"data"`` (batches to score on), ``"adam"``
            (the second moments of a trained checkpoint), ``"network"`` (a linear copy of it), or
            None.
        rounds: in how many rounds it prunes, density d^(k / rounds) after the k-th.
        units: whether it scores units, not weights.

    Raises ValueError where another has the name.
    """

    def register(score: Score) -> Score:
        entry = SaliencyEntry(_Tensors(name, score, units), summary, paper or "none", needs, rounds)
        (UNIT_SALIENCIES if units else SALIENCIES).register(name, entry)
        return score

    return register


@dataclass(frozen=True)
class _Tensors:
    """A function of somebody else's, which gives tensors."""

    name: str
    function: Callable[..., Any]
    units: bool

    def __call__(self, probe: "Probe") -> Any:
        found = dict(self.function(probe))
        shapes = {n: tuple(weight.tensor.shape) for n, weight in probe.weights.items()}
        if self.units:
            shapes = {n: (axis.units,) for n, axis in (probe.axes or {}).items()}
        odd = [n for n in {**shapes, **found} if n not in found or n not in shapes]
        odd += [n for n in found if n not in odd and tuple(found[n].shape) != shapes[n]]
        if odd:
            shape = tuple(found[odd[0]].shape) if odd[0] in found else "missing"
            raise ValueError(
                f"the saliency {self.name} must score all of {', '.join(shapes)}, each by a tensor "
                f"of its shape: {odd[0]} is {shape}, not {shapes.get(odd[0], 'there')}."
            )
        values = {n: found[n].detach().double() for n in shapes}
        return probe.unit_scores(values) if self.units else probe.scores(values)
