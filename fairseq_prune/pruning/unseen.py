"""Rows of embeddings that the sample to score on leaves without a score: tokens that are not in it.

Their score is 0. Where that is the lowest there is, they go first; where scores have a sign, what
is below 0 goes before them. Which of the two, the scores themselves tell.
"""

from dataclasses import replace

import torch
from torch import Tensor

from fairseq_prune.masks.state import Masks
from fairseq_prune.maths.select import Scores
from fairseq_prune.maths.structure import Block, Element, NofM, Structure, Units
from fairseq_prune.network.weights import is_embedding
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.saliency import Probe

ORDERS = {
    "first": ", the lowest there is, so that they go first",
    "signed": ", and what has a score below 0 goes before them",
}


def note_unseen(
    notes: Notes,
    scores: Scores,
    masks: Masks,
    probe: Probe,
    structure: Structure | NofM | Units,
) -> Notes:
    """The notes, with those of the rows that have no score at all where there are any.

    Args:
        notes: of the pruning.
        scores: of weights.
        masks: what is kept after the pruning.
    """
    counts, gone = {}, {}
    for name, score in scores.items():
        rows = _unseen(name, scores, probe) if is_embedding(name) else None
        if rows is None or not bool(rows.any()):
            continue
        counts[name] = int(rows.sum())
        there = score.present.flatten(1)  # what an earlier pruning took is not counted again
        away = there & ~masks[name].to(there.device).flatten(1)
        gone[name] = [_share(away[part], there[part]) for part in (rows, ~rows)]
    if not counts:
        return notes
    order = _order(scores, structure)
    return replace(notes, unseen=counts, unseen_gone=gone, unseen_order=order)


def without_unseen(notes: Notes) -> Notes:
    """The notes without what they say of such rows."""
    return replace(notes, unseen={}, unseen_gone={}, unseen_order=None)


def _unseen(name: str, scores: Scores, probe: Probe) -> Tensor:
    """The rows that have weights left, and no score: bool, ``(rows,)``."""
    score, weight = scores[name], probe.weights[name].tensor.detach()
    there = score.present.flatten(1)
    # a weight that is zero has no score either, whatever the sample
    worth = there & (weight.flatten(1) != 0)
    return worth.any(dim=1) & ~(there & (score.values.flatten(1) != 0)).any(dim=1)


def _order(scores: Scores, structure: Structure | NofM | Units) -> str:
    whole = isinstance(structure, Element) or (isinstance(structure, Block) and structure.rows == 1)
    if not whole:  # the rows share tiles or units with others
        return ""
    signed = any(not s.absolute and bool((s.values < 0).any()) for s in scores.values())
    return "signed" if signed else "first"


def _share(away: Tensor, there: Tensor) -> float:
    return int(torch.count_nonzero(away)) / max(1, int(torch.count_nonzero(there)))
