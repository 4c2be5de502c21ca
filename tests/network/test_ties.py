"""Ties that a file has lost are found again; what is equal by chance is left alone."""

import torch

from fairseq_prune.network.ties import retie

E, D, S = (
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "decoder.output_projection.weight",
)


def pointers(state):
    return {name: value.data_ptr() for name, value in state.items()}


def test_equal_matrices_become_one():
    table = torch.randn(30, 8)
    tied = retie({E: table, D: table.clone(), S: table.clone()})
    assert set(pointers(tied).values()) == {table.data_ptr()}


def test_a_single_different_bit_keeps_them_apart():
    table = torch.randn(500, 8)  # more values than the fingerprint looks at
    other = table.clone()
    other[411, 3] = torch.nextafter(other[411, 3], torch.tensor(9.0))
    assert len(set(pointers(retie({E: table, D: other})).values())) == 2


def test_constant_matrices_are_not_tied():
    for value in (0.0, 1.0):
        state = {E: torch.full((4, 8), value), D: torch.full((4, 8), value)}
        assert pointers(retie(state)) == pointers(state)


def test_mostly_zero_equal_matrices_are_tied():
    table = torch.zeros(100, 8)
    table[77, 5] = 0.3
    assert len(set(pointers(retie({E: table, D: table.clone()})).values())) == 1


def test_other_types_shapes_and_vectors_are_left_alone():
    table = torch.randn(8, 8)
    state = {
        E: table,
        D: table.half(),
        S: table.reshape(4, 16).clone(),
        "decoder.bias": torch.ones(8),
        "encoder.bias": torch.ones(8),
        "decoder.version": 3,
    }
    tied = retie(state)
    assert all(tied[name] is value for name, value in state.items())


def test_the_state_itself_is_not_changed():
    table = torch.randn(8, 8)
    state = {E: table, D: table.clone()}
    before = pointers(state)
    retie(state)
    assert pointers(state) == before
