"""What a schedule will need hours from now, tried before the first update.

On a few examples of one real batch, the way it will be done. Nothing of the run is changed by it:
no weight, no gradient, no random number, nor the order of the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from fairseq_prune.network.probing import EmptySample, Sample, gradient, unused
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.refusal import reason_of
from fairseq_prune.saliency import Probe, all_zero
from fairseq_prune.saliency.obd import NO_MOMENTS
from fairseq_prune.tasks._flow import flow_of
from fairseq_prune.tasks._optimizer import Copies
from fairseq_prune.tasks._probe import seed_of
from fairseq_prune.tasks._ranks import from_every_rank

_EXAMPLES = 4


def next_action(recipe: Recipe, acted: int | None, step: int) -> int | None:
    """The update at which the schedule acts next; None where it is through.

    Args:
        acted: at which it last did; None for never.
        step: how many updates are completed.
    """
    if recipe.scheme is None:
        return None
    timetable = recipe.timetable()
    if acted is not None and acted >= timetable.last:
        return None
    still = range(max(step, timetable.start), timetable.last + 1)
    return next((at for at in still if timetable.due(at)), step)


def check_ahead(session: Any, optimizer: Any) -> None:
    """Raise ValueError, on every rank, where a run could not be scored as its flags ask.

    Args:
        session: a :class:`fairseq_prune.tasks._session.Session` that has begun.
        optimizer: fairseq's.
    """
    if not session.recipe.needs:
        return
    sentence, silent = None, []
    try:
        silent = _try(session, optimizer)
    except Exception as error:
        sentence = _sentence(error, session.recipe)
    told = [other for other in from_every_rank(sentence) if other is not None]
    if told:
        raise ValueError(told[0])
    names = sorted({name for other in from_every_rank(silent) for name in other})
    lost = unused(_sample(session), names) if names else []
    if lost:
        raise ValueError(all_zero(lost))


def _try(session: Any, optimizer: Any) -> list[str]:
    """Score once by all that the recipe needs; gives the weights that had no score."""
    recipe = session.recipe
    if "adam" in recipe.needs:
        _check_moments(session, optimizer)
    if "network" in recipe.needs:
        _score(session, "network", Probe(session.weights, flow=flow_of(session.model)))
    if "data" not in recipe.needs:
        return []
    sample = _sample(session)
    if not sample.batches:  # other ranks have them all
        return []
    first = sample.batches[0]
    alone: Callable[[Any], None] = lambda tensor: None  # noqa: E731
    try:
        return _on(session, replace(sample, batches=[first[:_EXAMPLES]], reduce=alone))
    except EmptySample:  # of a few short examples none may be masked, say
        return _on(session, replace(sample, batches=list(sample.batches), reduce=alone))


def _on(session: Any, sample: Sample) -> list[str]:
    if session.recipe.schedule_entry().needs == "data":
        gradient(sample, session.weights)
    masks = None if session.holder is None else session.holder.masks()
    probe = Probe(session.weights, masks, 1, sample, axes=session.axes, partial=True)
    return _score(session, "data", probe)


def _score(session: Any, needs: str, probe: Probe) -> list[str]:
    """Names of weights whose scores are all zero, which none may be as long as none is pruned."""
    recipe, silent = session.recipe, []
    for name in recipe.saliencies:
        entry = recipe.entry(name)
        if entry.needs == needs:
            scores = entry.score(probe)
            silent += [n for n, s in scores.items() if not bool(s.values.any())]
    return [name for name in silent if name in session.weights and probe.masks is None]


def _sample(session: Any) -> Sample:
    count = session.recipe.resolved.score_batches
    sample: Sample = session.sampler(count, seed_of(session.recipe))
    return sample


def _check_moments(session: Any, optimizer: Any) -> None:
    copies = Copies()
    copies.optimizer = optimizer
    if not _keeps_moments(optimizer) and copies.second_moments(session.weights) is None:
        raise ValueError(NO_MOMENTS)


def _keeps_moments(optimizer: Any) -> bool:
    """Whether an optimizer will have Adam's second moments: one like it is asked."""
    plain = getattr(optimizer, "fp32_optimizer", optimizer)  # below fp16 and amp
    try:
        device = next(iter(plain.params)).device
        matrix = torch.nn.Parameter(torch.zeros(2, 2, device=device))
        matrix.grad = torch.ones_like(matrix)
        alike = type(plain.optimizer)([matrix], **plain.optimizer_config)
        alike.step()
    except Exception:  # sharded, or of another plugin: the run itself will tell
        return True
    return "exp_avg_sq" in alike.state[matrix]


def _sentence(error: Exception, recipe: Recipe) -> str:
    if isinstance(error, ValueError):
        return str(getattr(error, "sentence", error))
    names: Sequence[str] = [n for n in recipe.saliencies if recipe.entry(n).needs is not None]
    what = f"--prune-saliency {names[0]}" if names else f"--prune-schedule {recipe.schedule}"
    return (
        f"{what} does not work with this model and this task ({type(error).__name__}: "
        f"{reason_of(error)}), which was tried on one batch before the first update; choose "
        "another."
    )
