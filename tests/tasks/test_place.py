"""Another number of ranks goes on at the same place of an epoch."""

from typing import Any

import pytest
from fairseq.data import FairseqDataset
from fairseq.data.iterators import EpochBatchIterator

from fairseq_prune.tasks._place import keep_place


class Numbers(FairseqDataset):
    """Examples that are their own numbers."""

    def __getitem__(self, index: int) -> int:
        return index

    def __len__(self) -> int:
        return 12

    def collater(self, samples: list[int]) -> list[int]:
        return samples


def iterators(ranks: int) -> list[Any]:
    data = Numbers()
    batches = [[number] for number in range(len(data))]
    return [
        keep_place(EpochBatchIterator(data, data.collater, batches, 1, ranks, rank), ranks)
        for rank in range(ranks)
    ]


def read(ranks: list[Any], count: int) -> set[int]:
    found = set()
    for iterator in ranks:
        batches = iterator.next_epoch_itr(shuffle=True)
        found |= {number for _ in range(count) for number in next(batches)}
    return found


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 4), (4, 2), (2, 2)])
def test_no_batch_comes_twice_and_none_is_left_out(before: int, after: int) -> None:
    first, then = iterators(before), iterators(after)
    seen = read(first, 8 // before)
    for iterator in then:
        iterator.load_state_dict(first[0].state_dict())
    assert len(seen) == 8
    assert seen | read(then, 4 // after) == set(range(12))


def test_what_plain_fairseq_saved_is_taken_as_fairseq_does() -> None:
    (one,) = iterators(1)
    one.load_state_dict({"version": 2, "epoch": 1, "iterations_in_epoch": 5, "shuffle": True})
    assert one.iterations_in_epoch == 5


def test_an_iterator_is_wrapped_once() -> None:
    (one,) = iterators(1)
    wrapped = one.load_state_dict
    assert keep_place(one, 1).load_state_dict is wrapped
