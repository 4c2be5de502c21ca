"""Recipe: the frozen choice of how to prune, the one source of every prune flag."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fairseq_prune.maths.allocate import ALLOCATIONS
from fairseq_prune.maths.schedule import SCHEDULES, Schedule
from fairseq_prune.maths.structure import POOLS, Block, Element, NofM, Structure, parse
from fairseq_prune.network.classes import GRANULARITIES
from fairseq_prune.saliency import SALIENCIES

DEFAULT_SPARSITY = 0.8  # the headline of See et al. (2016): 80% with no loss after retraining
DEFAULT_EVERY = 100
DEFAULT_SCORE_BATCHES = 32


def _flag(default: Any, text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to prune. Each field is a flag: ``sparsity`` is ``--prune-sparsity``, and so on.

    Fields left None were not given; :meth:`check` says what may be given with what, and
    :attr:`settings` has the values in force.
    """

    scheme: str | None = _flag(
        None,
        "who pays how much: " + ", ".join(f"{n} ({e.summary})" for n, e in ALLOCATIONS.items()),
        choices=tuple(ALLOCATIONS),
    )
    sparsity: float | None = _flag(
        None, f"fraction of the prunable weights to remove, in [0, 1) (default {DEFAULT_SPARSITY})"
    )
    saliency: str | None = _flag(
        None,
        "what a weight is worth: "
        + ", ".join(f"{n} ({e.summary})" for n, e in SALIENCIES.items())
        + "; default magnitude",
        choices=tuple(SALIENCIES),
    )
    structure: str | None = _flag(
        None,
        "what is removed together: weight, row (a neuron's inputs), block:RxC (tiles), N:M (all "
        "but N of every M inputs; the sparsity follows); default weight",
        metavar="STRUCTURE",
    )
    pool: str | None = _flag(
        None,
        f"what a row or block is worth: the {', '.join(POOLS)} of its weights' scores (default "
        f"{POOLS[0]})",
        choices=POOLS,
    )
    schedule: str | None = _flag(
        None,
        "when: "
        + ", ".join(f"{n} ({e.summary})" for n, e in SCHEDULES.items())
        + "; default one-shot",
        choices=tuple(SCHEDULES),
    )
    start: int | None = _flag(
        None, "first update at which to prune (default 0: before the first update)"
    )
    end: int | None = _flag(None, "gradual: the update at which the sparsity is reached")
    every: int | None = _flag(
        None, f"gradual: prune again every so many updates (default {DEFAULT_EVERY})"
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
        f"ones each time (default {DEFAULT_SCORE_BATCHES})",
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

    def check(self) -> "Recipe":
        """The recipe itself; raises ValueError, one sentence, where it makes no sense."""
        given = {name for name, value in asdict(self).items() if value is not None}
        if given and not self.active:
            raise ValueError(
                f"{_names(given)} has no effect without --prune-scheme "
                f"({', '.join(ALLOCATIONS)}) or --prune-mask-from FILE."
            )
        for name, known in (
            ("scheme", tuple(ALLOCATIONS)),
            ("saliency", tuple(SALIENCIES)),
            ("schedule", tuple(SCHEDULES)),
            ("pool", POOLS),
        ):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise ValueError(f"--prune-{name} {value!r} is unknown; choose {_either(known)}.")
        if self.sparsity is not None and not 0.0 <= self.sparsity < 1.0:
            raise ValueError(
                f"--prune-sparsity {self.sparsity} is outside [0, 1): it is the fraction of "
                "weights to remove, e.g. 0.8 for 80%."
            )
        if self.scheme is None:
            useless = given - {"mask_from", "classes", "exclude", "seed"}
            if useless:
                raise ValueError(
                    f"{_names(useless)} has no effect with --prune-mask-from alone; "
                    "add --prune-scheme to prune further than the file's masks."
                )
        self._check_batches()
        self._check_structure()
        self._check_schedule()
        return self

    @property
    def needs(self) -> str | None:
        """What its saliency looks at beside the weights: "data", "adam" or None."""
        return SALIENCIES[self.saliency or "magnitude"].needs

    @property
    def is_gradual(self) -> bool:
        """Whether its schedule prunes little by little."""
        return self.schedule is not None and self.schedule.startswith("gradual")

    def _check_batches(self) -> None:
        if self.score_batches is None:
            return
        if self.score_batches < 1:
            raise ValueError(
                f"--prune-score-batches {self.score_batches} must be a number of batches, 1 or "
                "more."
            )
        if self.needs != "data":
            known = [name for name, entry in SALIENCIES.items() if entry.needs == "data"]
            raise ValueError(
                f"--prune-score-batches has no effect with --prune-saliency "
                f"{self.saliency or 'magnitude'}, which needs no data; those that do: "
                f"{', '.join(known)}."
            )

    def groups(self) -> Structure | NofM:
        """The structure with its numbers filled in."""
        return parse(self.structure or "weight", self.pool or POOLS[0])

    def _check_structure(self) -> None:
        groups = self.groups()
        if self.pool is not None and not isinstance(groups, Block):
            raise ValueError(
                f"--prune-pool {self.pool} has no effect with --prune-structure "
                f"{self.structure or 'weight'}; it is for row and block:RxC."
            )
        if isinstance(groups, Block) and self.scheme == "erk":
            raise ValueError(
                f"--prune-scheme erk spends by the shape of matrices, not of {self.structure}; use "
                "class-blind, class-uniform or class-distribution."
            )
        if isinstance(groups, NofM):
            self._check_pattern(groups)

    def _check_pattern(self, groups: NofM) -> None:
        if self.scheme != "class-uniform":
            raise ValueError(
                f"--prune-structure {self.structure} keeps {groups.n} of every {groups.m} weights "
                f"everywhere, so that --prune-scheme {self.scheme} has nothing to decide; use "
                "class-uniform."
            )
        if self.sparsity is not None and self.sparsity != groups.sparsity:
            raise ValueError(
                f"--prune-sparsity {self.sparsity} contradicts --prune-structure "
                f"{self.structure}, which removes {groups.sparsity:g}; leave it out."
            )
        if self.schedule not in (None, "one-shot"):
            raise ValueError(
                f"--prune-schedule {self.schedule} has no steps to take with --prune-structure "
                f"{self.structure}; use one-shot."
            )

    def _check_schedule(self) -> None:
        for name in ("start", "end", "every"):
            value = getattr(self, name)
            least = 1 if name == "every" else 0
            if value is not None and value < least:
                raise ValueError(
                    f"--prune-{name} {value} must be a number of updates, {least} or more."
                )
        if not self.is_gradual:
            useless = [n for n in ("end", "every") if getattr(self, n) is not None]
            if useless:
                raise ValueError(
                    f"--prune-{useless[0]} has no effect with the one-shot schedule; "
                    "add --prune-schedule gradual."
                )
            return
        if self.end is None:
            raise ValueError(
                f"--prune-schedule {self.schedule} needs --prune-end, the update at which the "
                "sparsity is reached (while the learning rate is still high)."
            )
        if self.end <= (self.start or 0):
            raise ValueError(
                f"--prune-end {self.end} must come after --prune-start {self.start or 0}."
            )

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting with its value in force: plain values, as stored in checkpoints."""
        defaults = {
            "sparsity": DEFAULT_SPARSITY,
            "saliency": "magnitude",
            "schedule": "one-shot",
            "start": 0,
            "every": DEFAULT_EVERY if self.is_gradual else None,
            "score_batches": DEFAULT_SCORE_BATCHES if self.needs == "data" else None,
            "classes": "paper",
            "seed": 1,
        }
        groups = self.groups()
        if isinstance(groups, Block):
            defaults["pool"] = POOLS[0]
        elif isinstance(groups, NofM):
            defaults["sparsity"] = groups.sparsity
        if self.scheme is None:
            defaults = {"classes": "paper"}
        values = asdict(self)
        if isinstance(groups, Element):
            values["structure"] = None
        return {k: defaults.get(k) if v is None else v for k, v in values.items()}

    @property
    def excluded(self) -> tuple[str, ...]:
        """The exclusions, one by one."""
        return tuple(part.strip() for part in (self.exclude or "").split(",") if part.strip())

    def timetable(self) -> Schedule:
        """The schedule with its numbers filled in."""
        s = self.settings
        build = SCHEDULES[s["schedule"]].build
        if self.is_gradual:
            return build(s["sparsity"], s["start"], s["end"], s["every"])
        return build(s["sparsity"], s["start"])

    def signature(self) -> str:
        """One line that says how a model was pruned, without what is at its default."""
        s = self.settings
        order = [name for name in s if s[name] is not None and name != "scheme"]
        plain = Recipe(scheme=self.scheme, schedule=self.schedule, saliency=self.saliency).settings
        shown = [n for n in order if n in ("sparsity", "saliency", "mask_from") or s[n] != plain[n]]
        return "|".join([str(self.scheme or "masks held"), *(f"{n}:{s[n]}" for n in shown)])

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Recipe":
        """The recipe with these settings; names it does not know are ignored."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in settings.items() if name in known})


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs between two recipes' settings, each as ``--prune-x here (there: y)``."""
    rows = []
    for name in (f.name for f in fields(Recipe)):
        here, there = mine.get(name), theirs.get(name)
        if name == "mask_from":  # where a mask came from does not matter, only that there was one
            here, there = here and "given", there and "given"
        if here != there:
            rows.append(f"{_names({name})} {here} (in the file: {there})")
    return rows


def _names(fields_: set[str]) -> str:
    return ", ".join("--prune-" + name.replace("_", "-") for name in sorted(fields_))


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
