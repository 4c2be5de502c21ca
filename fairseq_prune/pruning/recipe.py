"""Recipe: the frozen choice of how to prune, the one source of every prune flag."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from functools import cached_property, partial
from typing import Any

from fairseq_prune.files.registry import Registry
from fairseq_prune.files.strict_json import is_of_kind
from fairseq_prune.maths.schedule import SCHEDULES, Schedule, ScheduleEntry, reached_at
from fairseq_prune.maths.schemes import ALLOCATIONS, Allocation, SchemeEntry
from fairseq_prune.maths.structure import (
    POOLS,
    UNITS,
    Block,
    Element,
    NofM,
    Structure,
    Units,
    parse,
)
from fairseq_prune.network.classes import GRANULARITIES
from fairseq_prune.pruning.shares import Shares, is_one_line, read_shares
from fairseq_prune.saliency import SALIENCIES, UNIT_SALIENCIES, SaliencyEntry, every_name

DEFAULT_SPARSITY = 0.8  # the headline of See et al. (2016): 80% with no loss after retraining
DEFAULT_EVERY = 100
DEFAULT_SCORE_BATCHES = 32
DEFAULT_GROW_BATCHES = 8  # at every exchange: 8 steps in DEFAULT_EVERY
DEFAULT_DROP = 0.3  # Evci et al. (2020), section 3


def _flag(
    default: Any,
    text: str | Callable[[], str],
    metavar: str | None = None,
    names: Callable[[], Iterable[str]] | None = None,
    usual: str = "",
    timed: bool = False,
) -> Any:
    # what is offered is asked for when help is shown: plugins register more
    metadata = {"help": text, "metavar": metavar, "names": names, "usual": usual}
    return field(default=default, metadata={**metadata, "timed": timed})


def _offered(registry: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({entry.summary}; {entry.paper})" for name, entry in registry.items())


def help_of(flag: "Field[Any]", brief: bool = False) -> str:
    """What --help says of a field of a recipe; in brief the names that there are, without more."""
    text, names = flag.metadata["help"], flag.metadata["names"]
    if brief and names is not None:
        usual = flag.metadata["usual"]
        return ", ".join(names()) + (f" (default {usual})" if usual else "")
    return str(text if isinstance(text, str) else text())


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A recipe's settings in force: what was not given has its default where there is one.

    The fields are those of :class:`Recipe`; ``sparsity`` is None with shares for classes, until it
    takes a model to say (:func:`fairseq_prune.pruning.bound.bound`).
    """

    scheme: str | None
    sparsity: float | None
    given: str | None
    saliency: str
    ratios: str | None
    structure: str | None
    pool: str | None
    keep_at_least: float | None
    multiple: int | None
    schedule: str
    start: int
    end: int | None
    every: int | None
    ramp: int | None
    drop: float | None
    classes: str
    exclude: str | None
    score_batches: int | None
    seed: int
    mask_from: str | None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to prune. Each field is a flag: ``sparsity`` is ``--prune-sparsity``, and so on.

    Fields left None were not given; :mod:`fairseq_prune.pruning.checks` says what may be given with
    what, and :attr:`resolved` has the values in force.
    """

    scheme: str | None = _flag(
        None,
        lambda: f"who pays how much: {_offered(ALLOCATIONS)}",
        names=lambda: ALLOCATIONS,
    )
    sparsity: float | None = _flag(
        None, f"fraction of the prunable weights to remove, in [0, 1) (default {DEFAULT_SPARSITY})"
    )
    given: str | None = _flag(
        None,
        "with --prune-scheme given: a file with one `CLASS SPARSITY` a line (`* SPARSITY` for all "
        "others), such as fairseq-prune sensitivity --proposal writes; the sparsity follows",
        metavar="FILE",
    )
    saliency: str | None = _flag(
        None,
        lambda: (
            f"what a weight is worth: {_offered(SALIENCIES)}; default magnitude. What a unit is "
            f"worth: any of these, pooled, or {_offered(UNIT_SALIENCIES)}"
        ),
        names=every_name,
        usual="magnitude",
    )
    ratios: str | None = _flag(
        None,
        "keep as many weights in each tensor as this saliency would; --prune-saliency (random, "
        "say) then decides which ones",
    )
    structure: str | None = _flag(
        None,
        "what is removed together: weight, row (a neuron's inputs), block:RxC (tiles), N:M (all "
        "but N of every M inputs; the sparsity follows), whole units that fairseq-prune shrink "
        "can then cut out: "
        + ", ".join(f"{name} ({what})" for name, what in UNITS.items())
        + ", or several such as ffn+heads; default weight",
        metavar="STRUCTURE",
    )
    pool: str | None = _flag(
        None,
        f"what a row, block or unit is worth: the {', '.join(POOLS)} of its weights' scores "
        f"(default {POOLS[0]})",
    )
    keep_at_least: float | None = _flag(
        None,
        "how many weights, tiles or units of each tensor (units of each layer) stay in any case; "
        "below 1, that share of them; others go instead, as far as the scheme lets them",
        metavar="N",
    )
    multiple: int | None = _flag(
        None,
        "with units: the number that is left of each layer's becomes a multiple of this, the "
        "nearest, such as 8 for hardware",
        metavar="M",
    )
    schedule: str | None = _flag(
        None,
        lambda: f"when: {_offered(SCHEDULES)}; default one-shot",
        names=lambda: SCHEDULES,
        usual="one-shot",
        timed=True,
    )
    start: int | None = _flag(
        None, "first update at which to prune (default 0: before the first update)", timed=True
    )
    end: int | None = _flag(
        None,
        "gradual: the update at which the sparsity is reached; set, rigl: the last exchange",
        timed=True,
    )
    every: int | None = _flag(
        None,
        f"gradual, set, rigl: act again every so many updates (default {DEFAULT_EVERY})",
        timed=True,
    )
    ramp: int | None = _flag(
        None,
        "gradual-threshold: the update from which the threshold rises 1.5 times as fast (default a "
        "quarter of the way)",
        timed=True,
    )
    drop: float | None = _flag(
        None,
        "set, rigl: fraction of the surviving weights that the first exchange moves, falling along "
        f"a cosine (default {DEFAULT_DROP})",
        timed=True,
    )
    classes: str | None = _flag(
        None,
        "weight classes: "
        + ", ".join(GRANULARITIES)
        + ", or a file with one `CLASS REGEX` a line (default paper)",
    )
    exclude: str | None = _flag(
        None, "comma-separated weight classes, or regular expressions on names, to leave dense"
    )
    score_batches: int | None = _flag(
        None,
        "how many batches of the training data a saliency that needs data scores on, the same "
        f"ones each time (default {DEFAULT_SCORE_BATCHES}); embedding rows of tokens that are in "
        "none of them score 0: they go first, or, where scores have a sign, after what is below 0; "
        f"rigl: for the gradient, new ones at each exchange (default {DEFAULT_GROW_BATCHES})",
    )
    seed: int | None = _flag(None, "seed of random choices (default 1)")
    mask_from: str | None = _flag(
        None,
        "take the masks of this checkpoint and hold them: sparse from the beginning, transfer",
        metavar="FILE",
    )

    @property
    def active(self) -> bool:
        """Whether anything is to be pruned or held."""
        return self.scheme is not None or self.mask_from is not None

    @property
    def shares(self) -> Shares | None:
        """With the scheme ``given``, what it removes of each class; None with any other."""
        return None if self.given is None else read_shares(self.given)

    @property
    def allocation(self) -> Allocation:
        """The scheme."""
        allocate: Any = self.scheme_entry().allocate
        shares = self.shares
        return allocate if shares is None else partial(allocate, shares=shares)

    def scheme_entry(self) -> SchemeEntry:
        """The scheme's entry; raises ValueError where it is not known here."""
        return _known(ALLOCATIONS, str(self.scheme))

    def schedule_entry(self) -> ScheduleEntry:
        """The schedule's entry; raises ValueError where it is not known here."""
        return _known(SCHEDULES, self.schedule or "one-shot")

    @property
    def saliencies(self) -> tuple[str, ...]:
        """The saliencies that score: the one that chooses weights, and that of --prune-ratios."""
        return (self.saliency or "magnitude", *filter(None, [self.ratios]))

    @property
    def unknown(self) -> tuple[str, ...]:
        """What a file names that is not known here, each as ``saliency NAME``."""
        names = [
            ("scheme", self.scheme, ALLOCATIONS),
            *(("saliency", name, every_name()) for name in self.saliencies),
            ("schedule", self.schedule, SCHEDULES),
        ]
        found = [f"{kind} {name}" for kind, name, known in names if name and name not in known]
        return (*found, *([] if self._structure() else [f"structure {self.structure}"]))

    @property
    def needs(self) -> frozenset[str]:
        """What it looks at beside the weights: "data", "adam", "network"."""
        needs = {self.entry(name).needs for name in self.saliencies}
        return frozenset(filter(None, {*needs, self.schedule_entry().needs}))

    @property
    def looks(self) -> frozenset[str]:
        """What ``apply`` has to be given data for: to score on them, or to build the network."""
        return self.needs & {"data", "network"}

    def entry(self, name: str | None = None) -> SaliencyEntry:
        """A saliency by name, or the one that chooses; its form for units, where they go.

        Raises ValueError where it is not known here.
        """
        name = name or self.saliency or "magnitude"
        units = isinstance(self.groups(), Units) or name not in SALIENCIES
        return _known(UNIT_SALIENCIES if units and name in UNIT_SALIENCIES else SALIENCIES, name)

    def groups(self) -> Structure | NofM | Units:
        """The structure with its numbers filled in; single weights for one that is not known."""
        return self._structure() or Element()

    def _structure(self) -> Structure | NofM | Units | None:
        try:
            return parse(self.structure or "weight", self.pool or POOLS[0])
        except ValueError:
            return None

    @property
    def is_pooled(self) -> bool:
        """Whether a group's score is made of its weights' scores."""
        groups, name = self.groups(), self.saliency or "magnitude"
        own = isinstance(groups, Units) and name in UNIT_SALIENCIES
        return isinstance(groups, Block | Units) and not own

    @cached_property
    def resolved(self) -> Resolved:
        """The settings in force; training asks for them at each update."""
        groups = self.groups()
        defaults: dict[str, Any] = {
            "sparsity": DEFAULT_SPARSITY,
            "saliency": "magnitude",
            "schedule": "one-shot",
            "start": 0,
            **self._schedule_defaults(),
            "score_batches": self._default_batches(),
            "classes": "paper",
            "seed": 1,
        }
        if self.is_pooled:
            defaults["pool"] = POOLS[0]
        elif isinstance(groups, NofM):
            defaults["sparsity"] = groups.sparsity
        elif self.given is not None:
            defaults["sparsity"] = None
        values = asdict(self)
        if values["structure"] == "weight":
            values["structure"] = None
        found: Any = {k: defaults.get(k) if v is None else v for k, v in values.items()}
        return Resolved(**found)

    @property
    def target(self) -> float:
        """The fraction to remove in all; with shares for classes, of a recipe bound to a model."""
        sparsity = self.resolved.sparsity
        assert sparsity is not None
        return sparsity

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting with its value in force, as stored in checkpoints: plain values."""
        if self.scheme is not None:
            return asdict(self.resolved)
        structure = None if self.structure == "weight" else self.structure
        return {**asdict(self), "structure": structure, "classes": self.classes or "paper"}

    def _schedule_defaults(self) -> dict[str, Any]:
        start, end = self.start or 0, self.end or 0
        defaults = {
            "every": DEFAULT_EVERY,
            "ramp": start + (end - start) // 4,
            "drop": DEFAULT_DROP,
        }
        entry = SCHEDULES.get(self.schedule or "one-shot")
        return {name: v for name, v in defaults.items() if entry and name in entry.takes}

    def _default_batches(self) -> int | None:
        if self.unknown:  # what is stored says it
            return None
        if any(self.entry(name).needs == "data" for name in self.saliencies):
            return DEFAULT_SCORE_BATCHES
        return DEFAULT_GROW_BATCHES if "data" in self.needs else None

    @property
    def times(self) -> list[str]:
        """Which settings are given that say when in training to act."""
        names = ("start", "end", "every", "ramp", "drop")
        return [name for name in names if getattr(self, name) is not None]

    @property
    def excluded(self) -> tuple[str, ...]:
        """The exclusions, one by one."""
        return tuple(part.strip() for part in (self.exclude or "").split(",") if part.strip())

    def timetable(self) -> Schedule:
        """The schedule with its numbers filled in."""
        resolved, entry = self.resolved, self.schedule_entry()
        more = (getattr(resolved, name) for name in entry.takes)
        return entry.build(resolved.sparsity or 0.0, resolved.start, *more)

    def is_final(self, acted: int | None) -> bool:
        """Whether a pruning at step ``acted`` (None: none yet) leaves the sparsity asked for.

        Of a schedule that is not known here, each pruning is taken for the last.
        """
        if self.scheme is None or acted is None:
            return self.scheme is None
        is_known = (self.schedule or "one-shot") in SCHEDULES
        return not is_known or acted >= reached_at(self.timetable())

    def signature(self) -> str:
        """One line that says how a model was pruned, without what is at its default."""
        s = self.settings
        order = [name for name in s if s[name] is not None and name != "scheme"]
        same = ("scheme", "schedule", "saliency", "ratios", "start", "end")
        plain = Recipe(**{name: getattr(self, name) for name in same}).settings
        plain |= {name: Recipe(scheme=self.scheme).settings[name] for name in same[1:]}
        shown = [n for n in order if n in ("sparsity", "saliency", "mask_from") or s[n] != plain[n]]
        return "|".join([str(self.scheme or "masks held"), *(f"{n}:{s[n]}" for n in shown)])

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Recipe":
        """The recipe with these settings; settings it does not know are ignored.

        It may name methods that are not known here: see :attr:`unknown`.

        Raises ValueError where one has a value that it cannot have.
        """
        _check_settings(settings)
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in settings.items() if name in known})


def _known(registry: Registry[Any], name: str) -> Any:
    if name not in registry:
        raise ValueError(
            f"the {registry.kind} {name} is not known here: give the --user-dir, or install the "
            "package, that registers it."
        )
    return registry[name]


def _check_settings(settings: Any) -> None:
    """Raise ValueError where settings, which may be anybody's, are not of a recipe's kinds."""
    if not isinstance(settings, Mapping):
        raise ValueError("its settings are no dict")
    for one in fields(Recipe):
        value = settings.get(one.name)
        named = one.name in ("scheme", "saliency", "ratios", "schedule", "structure", "pool")
        odd = named and value is not None and not re.fullmatch(r"[\w:+-]{1,80}", str(value))
        if odd or not (value is None or is_of_kind(value, str(one.type))):
            raise ValueError(f"{one.name} is {str(value)[:40]!r}")
    # a name of a file would have that read, and its lines shown
    given = settings.get("given")
    if given is not None and not is_one_line(given):
        raise ValueError(f"given is {str(given)[:40]!r}")


def flags(names: Iterable[str]) -> str:
    """The flags of these fields, to be read."""
    return ", ".join("--prune-" + name.replace("_", "-") for name in sorted(names))


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs between two recipes' settings, each as ``--prune-x here (there: y)``."""
    rows = []
    for name in (f.name for f in fields(Recipe)):
        here, there = mine.get(name), theirs.get(name)
        if name == "mask_from":  # where a mask came from does not matter, only that there was one
            here, there = here and "given", there and "given"
        if here != there:
            rows.append(f"{flags({name})} {here} (in the file: {there})")
    return rows
