"""Schemes: scores and a sparsity in, how many weights of each tensor survive out."""

import math
from collections.abc import Mapping
from fractions import Fraction

from fairseq_prune.maths.schemes import REST, Least
from fairseq_prune.maths.score import Score, Scores
from fairseq_prune.maths.select import Budgets, Findings, count_kept, floors, round_count
from fairseq_prune.maths.spread import class_moments


def class_blind(
    scores: Scores, sparsity: float, classes: Mapping[str, str], *, least: Least = None
) -> Budgets:
    """Budgets from one ranking over all tensors.

    See, Luong and Manning 2016, section 3.2.

    Args:
        sparsity: fraction removed of all prunable weights, those already gone included. When
            fewer are alive than would be kept, all of them are kept: masks only shrink.
        classes: not used.
        least: by tensor, how many survive in any case: the others then lose more.
    """
    return count_kept(scores, _keep(scores, sparsity), cap=True, least=least)


def class_uniform(
    scores: Scores, sparsity: float, classes: Mapping[str, str], *, least: Least = None
) -> Budgets:
    """Budgets that remove the same fraction of each class, by one ranking inside each.

    See, Luong and Manning 2016, section 3.2. Arguments as for `class_blind`.
    """
    return given(scores, sparsity, classes, least=least)


def given(
    scores: Scores,
    sparsity: float,
    classes: Mapping[str, str],
    shares: Mapping[str, float] | None = None,
    *,
    least: Least = None,
) -> Budgets:
    """Budgets that remove from each class a fraction of its own, by one ranking inside each.

    Where a class has lost more than its share already, the others lose less (:func:`removals`).

    Args:
        sparsity: over all classes. Below what the shares come to together, every class has its
            share in proportion, so that a schedule that rises to that ends at the shares.
        shares: fraction to remove by class, "*" for those that are not named; None for the same
            fraction of each.
        least: as for `class_blind`, inside each class.

    Raises:
        ValueError: a class has no share.
    """
    _check(sparsity)
    members = by_class(scores, classes)
    totals = {n: sum(s.numel_prunable for s in part.values()) for n, part in members.items()}
    alive = {n: sum(s.numel_alive for s in part.values()) for n, part in members.items()}
    each = scaled(shares, sparsity, totals)
    away = removals(each, totals, {n: totals[n] - alive[n] for n in totals})
    parts = {n: count_kept(part, totals[n] - away[n], least=least) for n, part in members.items()}
    kept = {name: n for part in parts.values() for name, n in part.items()}
    near = {name: value for part in parts.values() for name, value in part.near.items()}
    thresholds = {label: float(part.found.threshold or 0.0) for label, part in parts.items()}
    masks = {name: mask for part in parts.values() for name, mask in part.masks.items()}
    return Budgets(
        {name: kept[name] for name in scores}, near, Findings(thresholds=thresholds), masks
    )


def share_of(label: str, shares: Mapping[str, float]) -> float:
    """The share of a class; raises ValueError where it has none."""
    if label not in shares and REST not in shares:
        raise ValueError(f"There is no share for the class {label!r}: name it, or give `{REST}`.")
    return shares.get(label, shares.get(REST, 0.0))


def overall(shares: Mapping[str, float], totals: Mapping[str, int]) -> float:
    """The fraction that shares of classes with so many weights remove in all, counts rounded."""
    gone = sum(round_count(share_of(label, shares), total) for label, total in totals.items())
    return gone / max(1, sum(totals.values()))


def scaled(
    shares: Mapping[str, float] | None, sparsity: float, totals: Mapping[str, int]
) -> dict[str, float]:
    """Each class's share where the whole is to have `sparsity`: in proportion, and the shares
    themselves from :func:`overall` on. Where none are given, all have the same."""
    if shares is None:
        return dict.fromkeys(totals, sparsity)
    whole = overall(shares, totals)
    factor = 1.0 if sparsity >= whole else sparsity / whole
    return {label: factor * share_of(label, shares) for label in totals}


def removals(
    shares: Mapping[str, float], totals: Mapping[str, int], gone: Mapping[str, int]
) -> dict[str, int]:
    """How many weights of each class are to be gone: its share, and in all as many as that is.

    A class that has lost more already makes the others give less, in proportion to their shares:
    they are rounded as by Webster's method (one weight after the other, to the class that is
    furthest below), so that it is the same whether the masks came there at once or in steps. Where
    more is gone in all than is asked for, nothing goes.

    Args:
        shares: fraction to remove, by class.
        totals: weights by class.
        gone: how many of them are gone.
    """
    wanted = {label: round_count(shares[label], total) for label, total in totals.items()}
    missing = sum(wanted.values()) - sum(gone.values())
    if all(gone[label] <= wanted[label] for label in totals):
        return wanted
    if missing <= 0:
        return dict(gone)
    weight = {label: Fraction(shares[label]) * total for label, total in totals.items()}
    # a level that is surely not too high, then one by one
    level = _level(weight, gone, max(0, sum(wanted.values()) - len(totals)))
    away = {n: max(gone[n], math.floor(level * weight[n] + Fraction(1, 2))) for n in totals}
    for _ in range(sum(wanted.values()) - sum(away.values())):
        open_ones = [n for n in totals if weight[n] and away[n] < totals[n]]
        lowest = min(open_ones, key=lambda n: (away[n] + Fraction(1, 2)) / weight[n])
        away[lowest] += 1
    return away


def _level(weight: Mapping[str, Fraction], gone: Mapping[str, int], total: int) -> Fraction:
    """The level up to which classes are filled, those above it being left: sum `total`."""
    above: set[str] = set()
    while True:
        below = [n for n in weight if n not in above]
        room = total - sum(gone[n] for n in above)
        level = Fraction(max(room, 0)) / (sum(weight[n] for n in below) or 1)
        more = {n for n in below if gone[n] > level * weight[n]}
        if not more:
            return level
        above |= more


def class_distribution(
    scores: Scores, sparsity: float, classes: Mapping[str, str], *, least: Least = None,
    sigma: Mapping[str, float] | None = None,
) -> Budgets:  # fmt: skip
    """Budgets that remove from class c what is below lambda * sigma_c, lambda being solved for.

    See, Luong and Manning 2016, section 3.2. The same as one ranking of the scores over sigma_c,
    the standard deviation of the class's signed values that are alive (n - 1, float64). A class
    without spread (all values equal, or fewer than two alive) has no unit of its own: sigma_c is
    then the size of that value, and 1 where it is zero.

    Args:
        sigma: by class, where an earlier call has found it for the same scores.

    Findings: `lambda_`, the smallest kept score over sigma_c, and `sigma` by class.
    """
    keep = _keep(scores, sparsity)
    members = by_class(scores, classes)
    if sigma is None:
        sigma = {label: moment.unit for label, moment in class_moments(members).items()}
    scaled = {
        name: scores[name].with_scale(scores[name].scale * sigma[label])
        for label, part in members.items()
        for name in part
    }
    found = count_kept({name: scaled[name] for name in scores}, keep, cap=True, least=least)
    noted = Findings(lambda_=found.found.threshold, sigma=sigma)
    return Budgets(found, found.near, noted, found.masks)


def erk(
    scores: Scores, sparsity: float, classes: Mapping[str, str], *, least: Least = None
) -> Budgets:
    """Budgets of the Erdos-Renyi(-kernel) densities: larger tensors are sparser.

    The density of a tensor is eps * sum(dims) / prod(dims) (Mocanu et al. 2018; Evci et al. 2020,
    section 3). Those that would keep more than is alive keep just that, and eps is solved again.
    Where some weights take no part, prod(dims) is the number of those that do. The budgets are
    whole numbers (largest remainder, ties to the earlier tensor) with the exact sum.

    Findings: `epsilon`. Arguments as for `class_blind`, of which only the shapes and what is
    alive matter.
    """
    return _erk(scores, _keep(scores, sparsity), least)


def _erk(scores: Scores, keep: int, least: Least) -> Budgets:
    alive = {name: score.numel_alive for name, score in scores.items()}
    keep = min(keep, sum(alive.values()))
    weight = {name: sum(score.values.shape) or 1 for name, score in scores.items()}
    full: set[str] = set()
    while True:
        rest = keep - sum(alive[name] for name in full)
        epsilon = Fraction(rest, sum(weight[n] for n in scores if n not in full) or 1)
        over = {n for n in scores if n not in full and epsilon * weight[n] > alive[n]}
        if not over:
            break
        full |= over
    wanted = {n: Fraction(alive[n]) if n in full else epsilon * weight[n] for n in scores}
    kept = _whole(wanted, keep)
    low = {name: floor for name, floor in floors(scores, least).items() if kept[name] < floor}
    if not low:
        return Budgets(kept, found=Findings(epsilon=float(epsilon)))
    others = {name: score for name, score in scores.items() if name not in low}
    found = _erk(others, max(0, keep - sum(low.values())), least)
    both = {**low, **found}
    return Budgets({name: both[name] for name in scores}, found=found.found)


def by_class(scores: Scores, classes: Mapping[str, str]) -> dict[str, Scores]:
    """The scores of each weight class, classes and tensors in the order of `scores`.

    Raises:
        ValueError: a tensor has no class.
    """
    members: dict[str, dict[str, Score]] = {}
    for name, score in scores.items():
        if name not in classes:
            raise ValueError(f"{name!r} has no weight class: name one for each scored tensor.")
        members.setdefault(classes[name], {})[name] = score
    return dict(members)


def _keep(scores: Scores, sparsity: float) -> int:
    """How many weights survive: what the removed fraction leaves of all prunable ones."""
    _check(sparsity)
    total = sum(score.numel_prunable for score in scores.values())
    return total - round_count(sparsity, total)


def _check(sparsity: float) -> None:
    if not 0.0 <= sparsity < 1.0:
        raise ValueError(f"sparsity must be in [0, 1), but is {sparsity!r}.")


def _whole(wanted: Mapping[str, Fraction], total: int) -> dict[str, int]:
    """Whole numbers next to those wanted, whose sum is `total`, and so is theirs."""
    kept = {name: math.floor(value) for name, value in wanted.items()}
    # Sorting is stable, so that ties go to the earlier tensor.
    by_remainder = sorted(wanted, key=lambda name: kept[name] - wanted[name])
    for name in by_remainder[: total - sum(kept.values())]:
        kept[name] += 1
    return kept
