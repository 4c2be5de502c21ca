"""Which tensors of a network are pruned, and how often they count."""

import pytest
import torch
from torch import nn

from fairseq_prune.network.weights import find, is_prunable, of_module, of_state_dict


class Toy(nn.Module):
    """Two tied tables, a pad row, a norm, a bias and a frozen matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(5, 3, padding_idx=1)
        self.fc = nn.Linear(3, 4)
        self.layer_norm = nn.LayerNorm(4)
        self.embed_positions = nn.Embedding(7, 3)
        self.output_projection = nn.Linear(3, 5, bias=False)
        self.output_projection.weight = self.embed_tokens.weight
        self.frozen = nn.Linear(2, 2)
        self.frozen.weight.requires_grad = False


def test_only_matrices_count_and_tied_tables_once() -> None:
    weights = of_module(Toy())
    assert list(weights) == ["embed_tokens.weight", "fc.weight"]
    table = weights["embed_tokens.weight"]
    assert table.aliases == ("embed_tokens.weight", "output_projection.weight")
    assert table.fixed == (3, 6)  # row 1 of width 3
    assert table.prunable == 12
    assert weights["fc.weight"].prunable == 12


@pytest.mark.parametrize(
    "name",
    [
        "encoder.layers.0.in_proj_weight",
        "encoder.layers.11.fc1_weight",
        "encoder.embed_positions.weight",
        "encoder.projections.0.weight_g",
        "encoder.layers.0.self_attn_layer_norm.weight",
    ],
)
def test_copies_positions_and_gains_are_never_pruned(name: str) -> None:
    assert not is_prunable(name, torch.ones(4, 4))


def test_softmaxed_kernels_are_never_pruned_but_their_generators_are() -> None:
    assert not is_prunable("encoder.layers.0.conv.weight", torch.ones(4, 1, 3))
    assert is_prunable("encoder.layers.0.conv.weight_linear.weight", torch.ones(12, 4))


def test_a_state_dict_gives_what_its_module_gives() -> None:
    toy = Toy()
    toy.frozen.weight.requires_grad = True
    state = toy.state_dict()
    from_state, from_module = of_state_dict(state), of_module(toy)
    shown = lambda found: [(w.name, w.aliases, w.fixed, w.weight_class) for w in found.values()]  # noqa: E731
    assert shown(from_state) == shown(from_module)


def test_exclusions_take_classes_and_patterns() -> None:
    names = [
        "encoder.embed_tokens.weight",
        "encoder.layers.0.fc1.weight",
        "encoder.layers.1.fc1.weight",
    ]
    named = [(name, torch.ones(2, 2)) for name in names]
    assert list(find(named, {}, exclude=["source-embedding"])) == names[1:]
    assert list(find(named, {}, exclude=[r"layers\.1"])) == names[:2]


def test_an_exclusion_that_matches_nothing_lists_the_classes() -> None:
    with pytest.raises(ValueError) as refusal:
        find([("encoder.embed_tokens.weight", torch.ones(2, 2))], {}, exclude=["softmx"])
    assert str(refusal.value) == (
        "--prune-exclude 'softmx' matches no weight; the classes are: source-embedding."
    )


def test_a_model_with_nothing_to_prune_is_refused() -> None:
    with pytest.raises(ValueError, match="No prunable weight is left"):
        find([("a.bias", torch.ones(3))], {})


def test_a_normed_weight_is_scored_by_what_the_layer_multiplies_by() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2, bias=False), dim=0)
    g = layer.parametrizations.weight.original0.detach()
    v = layer.parametrizations.weight.original1.detach()
    found = find([("l.weight_g", g), ("l.weight_v", v)], {})
    assert torch.allclose(found["l.weight_v"].effective(), layer.weight.detach())


def test_a_normed_row_that_is_all_zero_stays_zero() -> None:
    found = find([("l.weight_g", torch.ones(2, 1)), ("l.weight_v", torch.zeros(2, 3))], {})
    assert torch.equal(found["l.weight_v"].effective(), torch.zeros(2, 3))


@pytest.mark.parametrize("layers", ["encoder.layers", "encoder.transformer_layers"])
def test_the_copies_of_every_encoder_layer_are_no_weights(layers: str) -> None:
    state = {f"{layers}.0.fc1.weight": torch.ones(4, 4), f"{layers}.0.fc1_weight": torch.ones(4, 4)}
    assert list(of_state_dict(state)) == [f"{layers}.0.fc1.weight"]
