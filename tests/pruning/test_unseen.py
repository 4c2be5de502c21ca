"""What is said of rows that the sample leaves without a score is what happens to them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_prune.masks.state import Masks
from fairseq_prune.network.probing import Sample
from fairseq_prune.network.weights import of_module
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.summary import find_unseen
from fairseq_prune.saliency import SALIENCIES, Probe

TABLE = "encoder.embed_tokens.weight"
SEEN = [4, 5, 6, 7]


class Net(nn.Module):
    """Tokens (n,) -> tanh of their rows (n, 6) -> logits (n, 5)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.encoder = nn.Module()
        self.encoder.embed_tokens = nn.Embedding(12, 6, padding_idx=1)
        self.out = nn.Linear(6, 5)
        self.double()

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.out(self.encoder.embed_tokens(tokens).tanh())
        return found


def probe_of(model: Net, **more: Any) -> Probe:
    draw = torch.Generator().manual_seed(1)
    data = [(torch.tensor(SEEN * 3), torch.randint(0, 5, (12,), generator=draw)) for _ in range(2)]

    def loss(batch: Any, temperature: float = 1.0) -> tuple[Tensor, float]:
        return F.cross_entropy(model(batch[0]) / temperature, batch[1], reduction="sum"), 12.0

    def examples(batch: Any) -> list[Any]:
        return [(batch[0][i : i + 1], batch[1][i : i + 1]) for i in range(12)]

    return Probe(of_module(model), sample=Sample(model, data, loss, examples), **more)


def recipe(saliency: str, **more: Any) -> Recipe:
    return checked(Recipe(scheme="class-blind", sparsity=0.3, saliency=saliency, **more))


NEEDY = [name for name, entry in SALIENCIES.items() if entry.needs == "data"]


@pytest.mark.parametrize("saliency", NEEDY)
def test_the_order_and_the_shares_are_those_of_the_masks(saliency: str) -> None:
    model = Net()
    pruned = Pruner(recipe(saliency)).update(0.1, probe_of(model))
    scores = SALIENCIES[saliency].score(probe_of(model))
    lowest = min(float(score.values.min()) for score in scores.values())
    mask = pruned.masks[TABLE]
    unseen = [row for row in range(12) if row not in SEEN and row != 1]
    own, others = (1 - mask[rows].double().mean().item() for rows in (unseen, SEEN))
    (sentence,) = find_unseen(pruned.notes, pruned.masks)
    assert sentence.startswith(f"7 of 12 rows of {TABLE} stand for tokens that are not in the ")
    assert f"({own:.1%} of their weights went, {others:.1%} of the others')" in sentence
    if lowest < 0:
        assert "their score is 0, and what has a score below 0 goes before them" in sentence
        assert others > 0 and own == 0
    else:
        assert "their score is 0, the lowest there is, so that they go first" in sentence
        assert own > 0 and others == 0


def test_both_kinds_are_among_them() -> None:
    model = Net()
    notes = {s: Pruner(recipe(s)).update(0.3, probe_of(model)).notes for s in NEEDY}
    signed = {name for name, found in notes.items() if found.unseen_order == "signed"}
    assert signed == {"grasp", "obd-hutchinson"}


def test_rows_that_went_before_are_not_said_to_be_unseen() -> None:
    model = Net()
    kept = torch.ones(12, 6, dtype=torch.bool)
    kept[[4, 8, 9]] = False
    with torch.no_grad():
        model.encoder.embed_tokens.weight[~kept] = 0.0
    masks = Masks({TABLE: kept, "out.weight": torch.ones(5, 6, dtype=torch.bool)}, {TABLE: (6, 12)})
    pruned = Pruner(recipe("snip")).update(0.5, probe_of(model, masks=masks))
    assert pruned.notes.unseen == {TABLE: 5}  # 0, 2, 3, 10, 11


@pytest.mark.parametrize("structure", ["block:2x2", "1:2"])
def test_rows_that_share_groups_have_no_place_in_the_order(structure: str) -> None:
    sparsity = None if structure == "1:2" else 0.3
    made = checked(
        Recipe(scheme="class-uniform", sparsity=sparsity, saliency="snip", structure=structure)
    )
    pruned = Pruner(made).update(sparsity or 0.5, probe_of(Net()))
    (sentence,) = find_unseen(pruned.notes, pruned.masks)
    assert "first" not in sentence and "before them" not in sentence
    assert "their score is 0 (" in sentence


def test_what_older_versions_noted_is_still_said() -> None:
    masks = Masks({TABLE: torch.ones(12, 6, dtype=torch.bool)})
    (sentence,) = find_unseen(Notes.unpack({"unseen": {TABLE: 3}}), masks)
    assert "their score is 0; give more --prune-score-batches" in sentence
