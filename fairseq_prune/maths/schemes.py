"""The schemes that there are, by name: listed without torch, which their functions import."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fairseq_prune.files.registry import Lazy, Registry

if TYPE_CHECKING:
    from fairseq_prune.maths.score import Scores
    from fairseq_prune.maths.select import Budgets

Least = Mapping[str, int] | None
REST = "*"  # in shares by class: every class that is not named


class Allocation(Protocol):
    """Scores, the fraction to remove and each tensor's weight class: how many survive where.

    ``least``: by tensor, how many survive in any case; None for none.
    """

    def __call__(
        self,
        scores: "Scores",
        sparsity: float,
        classes: Mapping[str, str],
        *,
        least: Least = None,
    ) -> "Budgets": ...


@dataclass(frozen=True)
class SchemeEntry:
    """A scheme as it is offered.

    Args:
        allocate: the function.
        summary: one line for --help and the table of the docs.
        paper: author and year.
        by_class: whether each class has a count of its own, its share; if not, all have one.
        shapes_only: whether it looks at the shapes of tensors, whatever the scores.
        takes_shares: whether it needs a share for each class (``--prune-given``).
    """

    allocate: Allocation
    summary: str
    paper: str
    by_class: bool = False
    shapes_only: bool = False
    takes_shares: bool = False


def _in_allocate(function: str) -> Lazy:
    return Lazy("fairseq_prune.maths.allocate", function)


ALLOCATIONS = Registry[SchemeEntry](
    "scheme",
    {
        "class-blind": SchemeEntry(
            _in_allocate("class_blind"),
            "one ranking over all weights",
            "See et al. 2016, section 3.2",
        ),
        "class-distribution": SchemeEntry(
            _in_allocate("class_distribution"),
            "class c loses what is below lambda * sigma_c; lambda is solved for",
            "See et al. 2016, section 3.2",
        ),
        "class-uniform": SchemeEntry(
            _in_allocate("class_uniform"),
            "the same fraction of each class",
            "See et al. 2016, section 3.2",
            by_class=True,
        ),
        "erk": SchemeEntry(
            _in_allocate("erk"),
            "density in proportion to sum(dims) / prod(dims)",
            "Evci et al. 2020, section 3",
            shapes_only=True,
        ),
        "given": SchemeEntry(
            _in_allocate("given"),
            "each class its own fraction, those of --prune-given",
            "Han et al. 2015",
            by_class=True,
            takes_shares=True,
        ),
    },
)


Scheme = TypeVar("Scheme", bound=Callable[..., Any])


def register_scheme(
    name: str, *, summary: str, paper: str = "", by_class: bool = False, shapes_only: bool = False
) -> Callable[[Scheme], Scheme]:
    """A decorator that makes a function a scheme, for ``--prune-scheme NAME``.

    The function takes scores by name (:class:`~fairseq_prune.maths.score.Score`), the fraction to
    remove and the weight classes by name, and gives by name how many weights are kept: of each
    tensor at most its ``numel_alive``, and together exactly what the fraction leaves.

    Args:
        name: what it is called: small letters, digits and hyphens.
        summary: one line for ``--help``.
        paper: author and year.
        by_class: whether each class has a count of its own, its share; if not, all have one.
        shapes_only: whether it looks at the shapes of tensors, whatever the scores.

    Raises ValueError where another has the name.
    """

    def register(allocate: Scheme) -> Scheme:
        own = _Counts(name, allocate)
        ALLOCATIONS.register(
            name, SchemeEntry(own, summary, paper or "none", by_class, shapes_only)
        )
        return allocate

    return register


@dataclass(frozen=True)
class _Counts:
    """A function of somebody else's, which gives counts."""

    name: str
    function: Callable[..., Any]

    def __call__(
        self,
        scores: "Scores",
        sparsity: float,
        classes: Mapping[str, str],
        *,
        least: Least = None,
    ) -> "Budgets":
        from fairseq_prune.maths.select import Budgets, round_count

        if least is not None:
            raise ValueError(f"the scheme {self.name} does not know --prune-keep-at-least.")
        kept = {name: int(n) for name, n in self.function(scores, sparsity, classes).items()}
        alive = {name: score.numel_alive for name, score in scores.items()}
        total = sum(score.numel_prunable for score in scores.values())
        wanted = total - round_count(sparsity, total)
        fits = kept.keys() == alive.keys() and all(0 <= n <= alive[m] for m, n in kept.items())
        if not fits or sum(kept.values()) != min(wanted, sum(alive.values())):
            raise ValueError(
                f"the scheme {self.name} must say of each of {', '.join(scores)} how many weights "
                f"are kept, at most those that are left, and {wanted:,} in all; it says "
                f"{sum(kept.values()):,}."
            )
        return Budgets({name: kept[name] for name in scores})
