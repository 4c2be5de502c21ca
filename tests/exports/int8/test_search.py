"""A search that gets few words finds what fairseq's finds among all, to the last bit."""

from typing import Any

import pytest
import torch
from fairseq.search import DiverseBeamSearch
from fairseq.sequence_generator import SequenceGenerator

from fairseq_prune.exports.int8.conversion import network_of
from fairseq_prune.exports.int8.lists import WordLists, lists_in
from fairseq_prune.exports.int8.network import Int8LSTM
from fairseq_prune.exports.int8.search import largest, narrowed
from tests.exports.int8 import lstms

WORDS = 900  # of which 2 x beam are few


@pytest.fixture(scope="module")
def network() -> tuple[Int8LSTM, Any]:
    """An LSTM with a large vocabulary."""
    words = lstms.dictionary(WORDS)
    model, settings = lstms.build("lstm", WORDS)
    spec, tensors = network_of(lstms.content_of(model, settings), "here")
    return Int8LSTM(spec, tensors, (words, words)), words


def found(generator: SequenceGenerator, lengths: list[int]) -> list[list[tuple[Any, ...]]]:
    """Of each sentence all hypotheses: words, their scores, and the score."""
    tokens = lstms.batch(lengths)
    sample = {"net_input": {"src_tokens": tokens, "src_lengths": torch.tensor(lengths)}}
    return [
        [(h["tokens"].tolist(), h["positional_scores"].tolist(), float(h["score"])) for h in one]
        for one in generator.generate([], sample)
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beam_size": 1},
        {"beam_size": 12},
        {"min_len": 6, "max_len_b": 6},
        {"max_len_b": 1},
        {"temperature": 1.5},
        {"unk_penalty": -3.0, "len_penalty": 2.0},
        {"normalize_scores": False},
    ],
)
def test_it_finds_the_same(network: tuple[Int8LSTM, Any], options: dict[str, Any]) -> None:
    model, words = network
    settings = {"beam_size": 5, "max_len_a": 0, "max_len_b": 12, **options}
    plain = SequenceGenerator([model], words, **settings)
    narrow = narrowed(SequenceGenerator([model], words, **settings))
    assert narrow.vocab_size < 40 < len(words)
    for lengths in ([5], [7, 3, 5, 2, 6, 6, 4], [4] * 20):
        assert found(narrow, lengths) == found(plain, lengths)


@pytest.fixture
def lists() -> WordLists:
    """Three candidates of each word, and twenty words that are always there."""
    draw = torch.Generator().manual_seed(1)
    words = torch.randint(4, WORDS, (3 * (WORDS + 4),), generator=draw)
    ends = torch.arange(1, WORDS + 5) * 3
    return WordLists(words, ends, torch.arange(30, 50), WORDS + 4)


def test_with_lists_of_all_words_it_finds_the_same(network: tuple[Int8LSTM, Any]) -> None:
    model, words = network
    none = torch.zeros(len(words), dtype=torch.long)
    every = WordLists(none[:0], none, torch.arange(4, len(words)), len(words))
    settings = {"beam_size": 5, "max_len_a": 0, "max_len_b": 12}
    plain = SequenceGenerator([model], words, **settings)
    narrow = narrowed(SequenceGenerator([model], words, **settings), every)
    for lengths in ([5], [7, 3, 5, 2, 6, 6, 4], [4] * 20):
        assert found(narrow, lengths) == found(plain, lengths)


def test_with_lists_it_finds_what_fairseq_finds_where_other_words_are_impossible(
    network: tuple[Int8LSTM, Any], lists: WordLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, words = network
    settings = {"beam_size": 5, "max_len_a": 0, "max_len_b": 12}
    for lengths in ([5], [7, 3, 5, 2, 6, 6, 4]):
        short = found(narrowed(SequenceGenerator([model], words, **settings), lists), lengths)
        chosen = lists.words_for(lstms.batch(lengths), 14)
        assert 20 < len(chosen) < 150
        logits = model.decoder.logits

        def masked(features: Any, few: Any = None, at: Any = chosen, of: Any = logits) -> Any:
            whole = of(features)
            return torch.full_like(whole, -torch.inf).index_copy_(1, at, whole[:, at])

        with monkeypatch.context() as patched:
            patched.setattr(model.decoder, "logits", masked)
            plain = found(SequenceGenerator([model], words, **settings), lengths)
        for one, other in zip(short, plain, strict=True):
            assert [tokens for tokens, _, _ in one] == [tokens for tokens, _, _ in other]
            for (_, scores, _), (_, expected, _) in zip(one, other, strict=True):
                assert scores == pytest.approx(expected, abs=1e-5)
        assert {word for one in short for tokens, _, _ in one for word in tokens} <= set(
            chosen.tolist()
        )


def test_a_list_that_is_too_short_for_the_beam_is_filled_up(network: tuple[Int8LSTM, Any]) -> None:
    model, words = network
    none = torch.zeros(len(words), dtype=torch.long)
    empty = WordLists(none[:0], none, none[:0], len(words))
    narrow = narrowed(SequenceGenerator([model], words, beam_size=5, max_len_b=6), empty)
    assert empty.words_for(lstms.batch([3]), 14).tolist() == [*range(14)]
    assert len(found(narrow, [5])[0]) == 5


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"ends": [1, 3, 2, 4, 4]}, "is of another dictionary"),
        ({"ends": [1, 2, 3, 4]}, "is of another dictionary"),
        ({"words": [5, 6, 7, 8, 8]}, "is of another dictionary"),
        ({"words": [5, 6, 7, 9]}, "has words that its dictionary has not"),
        ({"always": [-1]}, "has words that its dictionary has not"),
        ({"more": [1]}, "has other tensors than these"),
    ],
)
def test_damaged_lists(changed: dict[str, list[int]], why: str) -> None:
    sound = {"words": [5, 6, 7, 8], "ends": [1, 2, 2, 3, 4], "always": [4]}
    tensors = {name: torch.tensor(values) for name, values in {**sound, **changed}.items()}
    with pytest.raises(ValueError, match=why):
        lists_in(tensors, (5, 9))


def test_a_small_vocabulary_is_searched_whole() -> None:
    words = lstms.dictionary()
    model, settings = lstms.build("lstm")
    spec, tensors = network_of(lstms.content_of(model, settings), "here")
    small = Int8LSTM(spec, tensors, (words, words))
    plain = SequenceGenerator([small], words, beam_size=20, max_len_b=9)
    narrow = narrowed(SequenceGenerator([small], words, beam_size=20, max_len_b=9))
    assert found(narrow, [4, 6]) == found(plain, [4, 6])


def test_a_search_that_needs_all_words_stays_as_it_is(network: tuple[Int8LSTM, Any]) -> None:
    model, words = network
    for options in (
        {"no_repeat_ngram_size": 2},
        {"search_strategy": DiverseBeamSearch(words, 5, 0.5)},
        {"tokens_to_suppress": ("w3",)},
    ):
        generator = SequenceGenerator([model], words, beam_size=5, **options)
        assert narrowed(generator) is generator
        assert generator.vocab_size == len(words)


def test_a_prefix_is_refused(network: tuple[Int8LSTM, Any]) -> None:
    model, words = network
    generator = narrowed(SequenceGenerator([model], words, beam_size=5))
    tokens = lstms.batch([4, 4])
    sample = {"net_input": {"src_tokens": tokens, "src_lengths": torch.tensor([4, 4])}}
    with pytest.raises(ValueError, match=r"^A prefix cannot be forced on a narrowed search\.$"):
        generator.generate([], sample, prefix_tokens=tokens[:, :1])


@pytest.mark.parametrize("width", [3, 64, 500, 2560, 2561, 10_007])
def test_the_largest_of_a_row_are_those_of_topk(width: int) -> None:
    values = torch.randn(9, width, generator=torch.Generator().manual_seed(width))
    for count in (1, min(3, width), min(10, width)):
        expected = values.topk(count, dim=1)
        numbers, places = largest(values, count)
        assert torch.equal(numbers, expected.values) and torch.equal(places, expected.indices)
