"""Which names are one tensor: the model says so, and a state dict is made to agree."""

import torch
from torch import nn

from fairseq_prune.network.options import Options
from fairseq_prune.network.ties import (
    equal_pairs,
    parameter_count,
    tied,
    ties_by_settings,
    ties_by_storage,
    ties_of,
)

E, D, S = (
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "decoder.output_projection.weight",
)


def test_a_model_says_which_of_its_names_are_one():
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2), "c": nn.Linear(2, 2)})
    model["b"].weight = model["a"].weight
    assert ties_of(model) == [("a.weight", "b.weight")]
    with torch.no_grad():
        model["c"].weight.copy_(model["a"].weight)  # equal, and not tied
    assert ties_of(model) == [("a.weight", "b.weight")]


def test_settings_say_it_where_no_model_can_be_asked():
    assert ties_by_settings(Options({"share_all_embeddings": True})) == [(E, D, S)]
    assert ties_by_settings(Options({"share_decoder_input_output_embed": True})) == [(D, S)]
    assert ties_by_settings(Options({})) == []


def test_tied_names_get_one_tensor_and_others_one_each():
    table = torch.randn(30, 8)
    state, torn = tied({E: table, D: table.clone(), S: table}, [(E, D)])
    assert torn == []
    assert state[D] is state[E] and torch.equal(state[S], table)
    assert state[S].data_ptr() != table.data_ptr()  # shares memory in the file, and no tie


def test_tied_names_that_differ_are_told_and_left():
    table, other = torch.randn(4, 8), torch.randn(4, 8)
    before = {E: table, D: other, S: table.half()}
    state, torn = tied(before, [(E, D, S)])
    assert torn == [(E, D), (E, S)] and all(state[name] is before[name] for name in before)


def test_what_shares_memory_in_a_file_is_found():
    table = torch.randn(4, 8)
    assert ties_by_storage({E: table, D: table, S: table.clone(), "n": 3}) == [(E, D)]


def test_equal_matrices_without_a_tie_are_found_and_constant_ones_are_not():
    table, zeros = torch.randn(4, 8), torch.zeros(4, 8)
    state = {E: table, D: table.clone(), S: table.clone(), "a.weight": zeros, "b.weight": zeros + 0}
    assert equal_pairs(state, [(E, D)]) == [(E, S)]
    assert equal_pairs(state, [(E, D, S)]) == []
    state[S][3, 7] = torch.nextafter(state[S][3, 7], torch.tensor(9.0))
    assert equal_pairs(state, [(E, D)]) == []


def test_a_tied_parameter_counts_once():
    table = torch.randn(4, 8)
    assert parameter_count({E: table, D: table, "encoder.version": torch.ones(1)}) == 32
