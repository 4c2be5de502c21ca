"""Multiply-adds, counted by hand."""

import torch

from fairseq_prune.network.weights import Weight, Weights, of_state_dict
from fairseq_prune.network.work import Work, work, work_of_texts
from tests.models.nets import net


def weights(name: str) -> Weights:
    return of_state_dict(net(name)[1].state_dict())


def test_an_lstm_by_hand() -> None:
    # cells of 6 on inputs of 8 (source), 8 + 6 (target); attention 6 x 6 and 12 x 6; 6 x 8 before a
    # softmax of 20 words
    source = 4 * 6 * (8 + 6)
    target = 4 * 6 * (8 + 6 + 6) + 6 * 6 + 12 * 6 + 6 * 8 + 20 * 8
    assert work(weights("lstm")) == Work(source, target)
    assert work(weights("lstm, tied")) == Work(source, target)
    assert work(weights("lstm, shared")) == Work(source, target)


def test_a_projection_of_states_is_made_once_a_sentence() -> None:
    found = work(weights("lstm, projected"))
    assert found.source == 4 * 6 * (8 + 6)
    assert found.target == 4 * 10 * (8 + 10 + 10) + 10 * 6 + 16 * 10 + 10 * 8 + 20 * 8


def test_a_transformer_by_hand() -> None:
    # two layers a side, 16 wide, 12 neurons; the decoder's cross-attention reads the source
    encoder = 2 * (4 * 16 * 16 + 2 * 16 * 12)
    decoder = 2 * (4 * 16 * 16 + 2 * 16 * 16 + 2 * 16 * 12) + 20 * 16
    expected = Work(encoder + 2 * 2 * 16 * 16, decoder)
    assert work(weights("transformer")) == expected
    assert work(weights("transformer, norm first, shared")) == expected
    assert expected.pair == expected.source + expected.target


def test_zeros_cost_nothing_where_they_are_skipped() -> None:
    found = weights("lstm")
    with torch.no_grad():
        found["encoder.lstm.weight_hh_l0"].tensor[:6] = 0
    used = {name: int((weight.tensor != 0).sum()) for name, weight in found.items()}
    dense, sparse = work(found), work(found, used)
    assert dense.source - sparse.source == 36
    assert dense.target == sparse.target


def test_a_classifier_pays_for_a_row_as_often_as_its_word_occurs_and_for_the_head_once() -> None:
    table, head = torch.ones(4, 3), torch.ones(2, 3)
    weights = {
        name: Weight(name, tensor)
        for name, tensor in (
            ("encoder.embed_tokens.weight", table),
            ("classification_heads.news.weight", head),
        )
    }
    counts = torch.tensor([0, 0, 5, 3])  # of 2 texts: 8 words of 3 numbers, and 6 in the head
    assert work_of_texts(weights, counts, texts=2) == 8 * 3 / 2 + 6
    kept = {name: torch.ones_like(w.tensor, dtype=torch.bool) for name, w in weights.items()}
    kept["encoder.embed_tokens.weight"][2] = False
    kept["classification_heads.news.weight"][0, 0] = False
    assert work_of_texts(weights, counts, 2, kept) == 3 * 3 / 2 + 5
    other = {**weights, "fc.weight": Weight("fc.weight", head)}
    assert work_of_texts(other, counts, 2) is None
