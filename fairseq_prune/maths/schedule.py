"""When to prune, and how far: the target sparsity at each step (updates completed)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

from fairseq_prune.files.registry import Registry


class Schedule(Protocol):
    """Says at which steps pruning acts and what sparsity it aims at."""

    def sparsity(self, step: int) -> float:
        """The fraction that is to be removed at this step."""

    def due(self, step: int) -> bool:
        """Whether pruning acts at exactly this step."""

    @property
    def start(self) -> int:
        """The step of the first action."""

    @property
    def last(self) -> int:
        """The step of the last action."""


@dataclass(frozen=True, init=False)
class OneShot:
    """All at once: nothing before `start`, the whole sparsity from there on.

    Attributes:
        final: fraction removed, in [0, 1); the argument is called `sparsity`.
        start: the step at which pruning acts; 0 is before training.
    """

    final: float
    start: int

    def __init__(self, sparsity: float, start: int = 0) -> None:
        _check_fraction("sparsity", sparsity)
        _check_step("start", start)
        object.__setattr__(self, "final", sparsity)
        object.__setattr__(self, "start", start)

    def sparsity(self, step: int) -> float:
        """The fraction that is to be removed at this step."""
        return self.final if step >= self.start else 0.0

    def due(self, step: int) -> bool:
        """Whether pruning acts at exactly this step."""
        return step == self.start

    @property
    def last(self) -> int:
        """The step of the last action."""
        return self.start


@dataclass(frozen=True, init=False)
class Gradual:
    """Little by little from `start` to `end`; x runs from 0 to 1 between them.

    - cubic: s_f + (s_i - s_f) (1 - x)^3, Zhu and Gupta 2017, section 3 (arXiv 1710.01878)
    - linear: s_i + (s_f - s_i) x; of no paper, to compare the cubic one with
    - exponential: each action removes the same share of what is left, as a round of iterative
      magnitude pruning does (Frankle and Carbin 2019), but nothing is rewound:
      density (1 - s_i)^(1 - x) (1 - s_f)^x

    Acts every `every` steps from `start`, and at `end` also where that is between two of them.

    Attributes:
        final: s_f, fraction removed from `end` on, in [0, 1); the argument is called `sparsity`.
        start, end: first and last step at which pruning acts.
        every: steps from one action to the next.
        initial: s_i, fraction removed up to `start`; at most `final`.
        curve: cubic, linear or exponential.
    """

    final: float
    start: int
    end: int
    every: int
    initial: float
    curve: str

    def __init__(
        self,
        sparsity: float,
        start: int,
        end: int,
        every: int,
        initial: float = 0.0,
        curve: str = "cubic",
    ) -> None:
        _check_fraction("sparsity", sparsity)
        _check_fraction("initial", initial)
        _check_step("start", start)
        if initial > sparsity:
            raise ValueError(
                f"`initial` must be at most the final sparsity {sparsity!r}, but is {initial!r}."
            )
        if end <= start:
            raise ValueError(f"`end` must be after `start` ({start}), but is {end}.")
        if every < 1:
            raise ValueError(f"`every` must be at least 1, but is {every}.")
        values = {
            "final": sparsity, "start": start, "end": end, "every": every, "initial": initial,
            "curve": curve,
        }  # fmt: skip
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def sparsity(self, step: int) -> float:
        """The fraction that is to be removed at this step."""
        if step >= self.end:
            return self.final
        if step <= self.start:
            return self.initial
        left = 1.0 - (step - self.start) / (self.end - self.start)
        if self.curve == "exponential":
            return 1.0 - (1.0 - self.initial) ** left * (1.0 - self.final) ** (1.0 - left)
        power = {"cubic": 3, "linear": 1}[self.curve]
        return self.final + (self.initial - self.final) * left**power

    def due(self, step: int) -> bool:
        """Whether pruning acts at exactly this step."""
        inside = self.start <= step <= self.end
        return inside and (step == self.end or (step - self.start) % self.every == 0)

    @property
    def last(self) -> int:
        """The step of the last action."""
        return self.end


@dataclass(frozen=True)
class Threshold:
    """Everything below a threshold goes, and the threshold rises (Narang et al. 2017, section 3).

    It rises along a straight line from `start` to `ramp`, and 1.5 times as steeply from there to
    `end`. The sparsity before `end` is what falls below; at `end` it is exactly `final`.

    Args:
        final: fraction removed at `end`, never more before.
        start, ramp, end: steps, in this order.
        every: steps from one action to the next.
    """

    final: float
    start: int
    end: int
    every: int
    ramp: int

    def __post_init__(self) -> None:
        Gradual(self.final, self.start, self.end, self.every)
        if not self.start <= self.ramp <= self.end:
            raise ValueError(
                f"`ramp` must lie between {self.start} and {self.end}, but is {self.ramp}."
            )

    def level(self, step: int) -> float:
        """The threshold at this step, as a fraction of the one that it reaches at `end`."""
        steep = 1.5
        risen = min(step, self.ramp) - self.start + steep * max(min(step, self.end) - self.ramp, 0)
        whole = self.ramp - self.start + steep * (self.end - self.ramp)
        return max(risen, 0) / whole

    def sparsity(self, step: int) -> float:
        """The most that may be removed at this step."""
        return self.final if step >= self.start else 0.0

    def due(self, step: int) -> bool:
        """Whether pruning acts at exactly this step."""
        return Gradual(self.final, self.start, self.end, self.every).due(step)

    @property
    def last(self) -> int:
        """The step of the last action."""
        return self.end


@dataclass(frozen=True)
class Exchange:
    """Constant sparsity: at `start` all at once, later some weights change places.

    SET differs from Mocanu et al. (2018): there the weights nearest to zero go as a fraction of the
    positive ones and of the negative ones, each by itself, here by magnitude, whatever the sign;
    the fraction is constant there, once an epoch; and weights that come back start at random there,
    here at 0.

    Attributes:
        final: fraction removed, in [0, 1).
        start: the step of the pruning.
        end: the step after which nothing is exchanged.
        every: steps from one exchange to the next.
        drop: fraction of the survivors that would be exchanged at `start`; it falls to 0 at `end`
            along a cosine (Dettmers and Zettlemoyer 2019; Evci et al. 2020, section 3).
        growth: how those are chosen that come back: at random (SET) or by gradient (RigL).
    """

    final: float
    start: int
    end: int
    every: int
    drop: float
    growth: Literal["random", "gradient"] = "random"

    def __post_init__(self) -> None:
        Gradual(self.final, self.start, self.end, self.every)
        _check_fraction("drop", self.drop)

    def fraction(self, step: int) -> float:
        """The fraction of the survivors that is exchanged at this step."""
        x = min(max((step - self.start) / (self.end - self.start), 0.0), 1.0)
        return self.drop / 2 * (1 + math.cos(math.pi * x))

    def sparsity(self, step: int) -> float:
        """The fraction that is removed, from `start` on."""
        return self.final if step >= self.start else 0.0

    def due(self, step: int) -> bool:
        """Whether something is pruned or exchanged at exactly this step."""
        return self.start <= step < self.end and (step - self.start) % self.every == 0

    @property
    def last(self) -> int:
        """The step of the last action."""
        return self.start + (self.end - 1 - self.start) // self.every * self.every


def reached_at(schedule: Schedule) -> int:
    """The step from which on the sparsity is the final one; a later exchange leaves it as it is."""
    return schedule.start if isinstance(schedule, Exchange) else schedule.last


Build = TypeVar("Build", bound=Callable[..., Any])


@dataclass(frozen=True)
class ScheduleEntry:
    """A schedule as it is offered.

    Args:
        build: the constructor, called with sparsity, start, and what it ``takes``.
        summary: one line for --help and the table of the docs.
        paper: where it is from.
        takes: the further settings it needs, in the constructor's order.
        needs: "data" where it looks at batches whenever it acts.
        moves: whether weights that were pruned come back, one by one.
        at_once: whether it prunes once, and all of it.
        before_training: whether it prunes before the first update, whatever its start.
    """

    build: Callable[..., Schedule]
    summary: str
    paper: str
    takes: tuple[str, ...] = ()
    needs: Literal["data"] | None = None
    moves: bool = False
    at_once: bool = False
    before_training: bool = False


_GRADUAL = ("end", "every")
_EXCHANGE = ("end", "every", "drop")
SCHEDULES = Registry[ScheduleEntry]("schedule", {
    "gradual": ScheduleEntry(
        Gradual, "a cubic rise from start to end", "Zhu and Gupta 2017, section 3", _GRADUAL
    ),
    "gradual-linear": ScheduleEntry(
        partial(Gradual, curve="linear"), "a straight rise", "none: for comparison", _GRADUAL
    ),
    "gradual-exponential": ScheduleEntry(
        partial(Gradual, curve="exponential"), "the same share of what is left each time",
        "Frankle and Carbin 2019", _GRADUAL,
    ),
    "gradual-threshold": ScheduleEntry(
        Threshold, "what falls below a rising threshold", "Narang et al. 2017, section 3",
        ("end", "every", "ramp"),
    ),
    "one-shot": ScheduleEntry(
        OneShot, "all at once, at one step", "See et al. 2016, section 3.2", at_once=True
    ),
    "static": ScheduleEntry(
        OneShot, "all at once, before the first update", "Mocanu et al. 2018", at_once=True,
        before_training=True,
    ),
    "set": ScheduleEntry(
        Exchange, "constant sparsity; the smallest change places at random",
        "after Mocanu et al. 2018", _EXCHANGE, moves=True,
    ),
    "rigl": ScheduleEntry(
        partial(Exchange, growth="gradient"),
        "constant sparsity; the smallest make room where the gradient is largest",
        "Evci et al. 2020", _EXCHANGE, "data", moves=True,
    ),
})  # fmt: skip


def register_schedule(
    name: str, *, summary: str, paper: str = "", takes: tuple[str, ...] = ()
) -> Callable[[Build], Build]:
    """A decorator that makes a class a schedule, for ``--prune-schedule NAME``.

    The class is made with the sparsity, the start and what it takes. Its ``sparsity(step)`` is the
    fraction removed after a step, ``due(step)`` whether it prunes there, ``last`` its last step.

    Args:
        name: what it is called: small letters, digits and hyphens.
        summary: one line for ``--help``.
        paper: where it is from.
        takes: the further settings it needs, in the constructor's order: some of ``"end"``,
            ``"every"``, ``"ramp"`` and ``"drop"``.

    Raises ValueError where another has the name.
    """

    def register(build: Build) -> Build:
        SCHEDULES.register(name, ScheduleEntry(build, summary, paper or "none", takes))
        return build

    return register


def _check_fraction(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"`{name}` must be in [0, 1), but is {value!r}.")


def _check_step(name: str, value: int) -> None:
    if value < 0:
        raise ValueError(f"`{name}` must be at least 0, but is {value}.")
