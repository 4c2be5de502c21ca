"""What goes together in a recipe: each refusal is one sentence that says what to use instead."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.maths.structure import (
    LAYERS,
    POOLS,
    UNITS,
    Block,
    Element,
    NofM,
    Units,
    parse,
)
from fairseq_prune.pruning.recipe import Recipe, flags
from fairseq_prune.pruning.shares import classes_for, one_line
from fairseq_prune.saliency import SALIENCIES, every_name

SEEDS = 1 << 32  # how many numpy has


def checked(recipe: Recipe) -> Recipe:
    """The recipe, with what is in its file of sparsities instead of the file's name.

    Raises ValueError, one sentence, where it makes no sense.
    """
    _check(recipe)
    shares = recipe.shares
    if shares is None:
        return recipe
    classes = classes_for(recipe.given, recipe.classes)
    return replace(recipe, given=one_line(shares), classes=classes)


def _check(recipe: Recipe) -> None:
    given = {name for name, value in asdict(recipe).items() if value is not None}
    if given and not recipe.active:
        raise ValueError(
            f"{flags(given)} has no effect without --prune-scheme "
            f"({', '.join(ALLOCATIONS)}) or --prune-mask-from FILE."
        )
    check_known(recipe)
    if recipe.sparsity is not None and not 0.0 <= recipe.sparsity < 1.0:
        raise ValueError(
            f"--prune-sparsity {recipe.sparsity} is outside [0, 1): it is the fraction of "
            "weights to remove, e.g. 0.8 for 80%."
        )
    if recipe.scheme is None:
        useless = given - {"mask_from", "classes", "exclude", "seed"}
        if useless:
            raise ValueError(
                f"{flags(useless)} has no effect with --prune-mask-from alone; "
                "add --prune-scheme to prune further than the file's masks."
            )
    if recipe.seed is not None and not 0 <= recipe.seed < SEEDS:
        raise ValueError(
            f"--prune-seed {recipe.seed} must be a whole number from 0 to {SEEDS - 1}."
        )
    _check_given(recipe)
    _check_ratios(recipe)
    _check_batches(recipe)
    _check_structure(recipe)
    _check_counts(recipe)
    _check_schedule(recipe)


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def check_known(recipe: Recipe) -> None:
    """Raises ValueError for a scheme, saliency, schedule or pool that there is not."""
    for name, known in (
        ("scheme", tuple(ALLOCATIONS)),
        ("saliency", every_name()),
        ("ratios", every_name()),
        ("schedule", tuple(SCHEDULES)),
        ("pool", POOLS),
    ):
        value = getattr(recipe, name)
        if value is not None and value not in known:
            raise ValueError(f"--prune-{name} {value!r} is unknown; choose {_either(known)}.")
    parse(recipe.structure or "weight")


def _check_given(recipe: Recipe) -> None:
    if recipe.scheme is None or not recipe.scheme_entry().takes_shares:
        if recipe.given is not None:
            raise ValueError(
                f"--prune-given has no effect with --prune-scheme {recipe.scheme}; use "
                f"{_either([n for n, entry in ALLOCATIONS.items() if entry.takes_shares])}."
            )
        return
    if recipe.given is None:
        raise ValueError(
            f"--prune-scheme {recipe.scheme} needs --prune-given FILE, a sparsity for each weight "
            "class."
        )
    if recipe.sparsity is not None:
        raise ValueError(
            f"--prune-sparsity {recipe.sparsity} has no place beside --prune-given, which says how "
            "much to remove of each class; leave it out."
        )


def _check_ratios(recipe: Recipe) -> None:
    ratios, saliency = recipe.ratios, recipe.saliency or "magnitude"
    if ratios is None:
        return
    if ratios == saliency:
        raise ValueError(
            f"--prune-ratios {ratios} has no effect with --prune-saliency {saliency}; give another "
            "saliency, such as random, to choose the weights inside each tensor."
        )
    by_shape = recipe.scheme is not None and recipe.scheme_entry().shapes_only
    if by_shape or isinstance(recipe.groups(), NofM):
        what = f"scheme {recipe.scheme}" if by_shape else f"structure {recipe.structure}"
        raise ValueError(
            f"--prune-ratios {ratios} has no effect with --prune-{what}, which looks at shapes "
            "only; use class-blind, class-uniform or class-distribution without a pattern."
        )


def _check_batches(recipe: Recipe) -> None:
    if recipe.score_batches is None:
        return
    if recipe.score_batches < 1:
        raise ValueError(
            f"--prune-score-batches {recipe.score_batches} must be a number of batches, 1 or more."
        )
    if "data" not in recipe.needs:
        known = [name for name, entry in SALIENCIES.items() if entry.needs == "data"]
        raise ValueError(
            f"--prune-score-batches has no effect with --prune-saliency "
            f"{recipe.saliency or 'magnitude'}, which needs no data; those that do: "
            f"{', '.join(known)}."
        )


def _check_structure(recipe: Recipe) -> None:
    groups = recipe.groups()
    _check_units(recipe)
    if recipe.pool is not None and not isinstance(groups, Block | Units):
        raise ValueError(
            f"--prune-pool {recipe.pool} has no effect with --prune-structure "
            f"{recipe.structure or 'weight'}; it is for row, block:RxC and units."
        )
    by_shape = recipe.scheme is not None and recipe.scheme_entry().shapes_only
    if isinstance(groups, Block | Units) and by_shape:
        raise ValueError(
            f"--prune-scheme {recipe.scheme} spends by the shape of matrices, not of "
            f"{recipe.structure}; use class-blind, class-uniform or class-distribution."
        )
    if isinstance(groups, NofM):
        _check_pattern(recipe, groups)
    if not isinstance(groups, Element) and recipe.schedule_entry().moves:
        raise ValueError(
            f"--prune-schedule {recipe.schedule} moves single weights, not {recipe.structure}; "
            "leave --prune-structure out, or use static."
        )


def _check_units(recipe: Recipe) -> None:
    is_units = isinstance(recipe.groups(), Units)
    for name in recipe.saliencies:
        if not is_units and name not in SALIENCIES:
            raise ValueError(
                f"--prune-saliency {name} scores units; give --prune-structure "
                f"{_either(tuple(UNITS))}, or choose another saliency."
            )
        only = recipe.entry(name).only
        if only is not None and recipe.structure != only:
            raise ValueError(
                f"--prune-saliency {name} scores {only}; give --prune-structure {only} alone, or "
                "choose another saliency."
            )
    _check_layers(recipe)
    if is_units and recipe.pool is not None and not recipe.is_pooled:
        raise ValueError(
            f"--prune-pool {recipe.pool} has no effect with --prune-saliency {recipe.saliency}, "
            "which scores units as they are; leave it out."
        )


def _check_layers(recipe: Recipe) -> None:
    """What layers cannot be with: they are few, and go before the units inside them."""
    groups = recipe.groups()
    if not isinstance(groups, Units) or LAYERS not in groups.kinds:
        return
    if recipe.multiple is not None:
        raise ValueError(
            f"--prune-multiple {recipe.multiple} counts units of a layer, not layers; leave it "
            "out, or prune layers first and the units of those that stay after that."
        )
    flag = "--prune-scheme given" if recipe.given is not None else None
    if recipe.schedule == "gradual-threshold":
        flag = "--prune-schedule gradual-threshold"
    if flag is not None and len(groups.turns) > 1:
        raise ValueError(
            f"{flag} has no place with --prune-structure {recipe.structure}, as layers go before "
            "the units of those that stay: prune layers first, and then the others."
        )


def _check_counts(recipe: Recipe) -> None:
    """What is said of how many are left of each tensor."""
    least, groups = recipe.keep_at_least, recipe.groups()
    if least is not None:
        if not (0.0 < least < 1.0 or (least >= 1.0 and least == int(least))):
            raise ValueError(
                f"--prune-keep-at-least {least:g} must be a whole number, 1 or more, or a share "
                "between 0 and 1."
            )
        if isinstance(groups, NofM):
            raise ValueError(
                f"--prune-keep-at-least has no effect with --prune-structure {recipe.structure}, "
                "which leaves as many of each group everywhere; leave it out."
            )
    if recipe.multiple is not None:
        if recipe.multiple < 2:
            raise ValueError(
                f"--prune-multiple {recipe.multiple} must be a number of units, 2 or more."
            )
        if not isinstance(groups, Units):
            inside = tuple(kind for kind in UNITS if kind != LAYERS)
            raise ValueError(
                f"--prune-multiple {recipe.multiple} counts units; give --prune-structure "
                f"{_either(inside)}, or leave it out."
            )


def _check_pattern(recipe: Recipe, groups: NofM) -> None:
    if recipe.scheme != "class-uniform":
        raise ValueError(
            f"--prune-structure {recipe.structure} keeps {groups.n} of every {groups.m} weights "
            f"everywhere, so that --prune-scheme {recipe.scheme} has nothing to decide; use "
            "class-uniform."
        )
    if recipe.sparsity is not None and recipe.sparsity != groups.sparsity:
        raise ValueError(
            f"--prune-sparsity {recipe.sparsity} contradicts --prune-structure "
            f"{recipe.structure}, which removes {groups.sparsity:g}; leave it out."
        )
    if not recipe.schedule_entry().at_once:
        raise ValueError(
            f"--prune-schedule {recipe.schedule} has no steps to take with --prune-structure "
            f"{recipe.structure}; use one-shot."
        )


def _check_schedule(recipe: Recipe) -> None:
    schedule = recipe.schedule or "one-shot"
    entry = recipe.schedule_entry()
    takes = entry.takes
    for name in ("start", "end", "every", "ramp"):
        value = getattr(recipe, name)
        least = 1 if name == "every" else 0
        if value is not None and value < least:
            raise ValueError(
                f"--prune-{name} {value} must be a number of updates, {least} or more."
            )
    for name in ("end", "every", "ramp", "drop"):
        if getattr(recipe, name) is not None and name not in takes:
            others = [n for n, entry in SCHEDULES.items() if name in entry.takes]
            raise ValueError(
                f"--prune-{name} has no effect with --prune-schedule {schedule}; it is for "
                f"{_either(others)}."
            )
    if entry.before_training and recipe.start:
        raise ValueError(
            f"--prune-start {recipe.start} contradicts --prune-schedule {schedule}, which prunes "
            "before the first update; leave it out, or use one-shot."
        )
    if recipe.drop is not None and not 0.0 < recipe.drop < 1.0:
        raise ValueError(
            f"--prune-drop {recipe.drop} is outside (0, 1): it is the fraction of the surviving "
            "weights that the first exchange moves, e.g. 0.3."
        )
    if "end" in takes:
        _check_end(recipe)


def _check_end(recipe: Recipe) -> None:
    start, end, ramp = recipe.start or 0, recipe.end, recipe.ramp
    if end is None:
        what = (
            "after which nothing is exchanged (three quarters of the run is usual)"
            if recipe.schedule_entry().moves
            else "at which the sparsity is reached (while the learning rate is still high)"
        )
        raise ValueError(
            f"--prune-schedule {recipe.schedule} needs --prune-end, the update {what}."
        )
    if end <= start:
        raise ValueError(f"--prune-end {end} must come after --prune-start {start}.")
    if ramp is not None and not start <= ramp <= end:
        raise ValueError(
            f"--prune-ramp {ramp} must lie between --prune-start {start} and --prune-end {end}."
        )
