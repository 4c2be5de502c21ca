"""A run's place in its epoch, for when it goes on with another number of ranks."""

from typing import Any

from fairseq.data.iterators import EpochBatchIterator

RANKS = "ranks"  # in the saved state of the iterator; plain fairseq passes over it


def keep_place(iterator: Any, ranks: int) -> Any:
    """The iterator, which finds its place again when another number of ranks has saved it.

    fairseq saves how many batches one rank has had, and takes that for any number of ranks: some
    batches come twice, or, with more ranks, the run ends with "dataloader mismatch". Where the
    batches had do not divide by the ranks, the last few come again.

    Args:
        iterator: over a rank's batches of an epoch; the same one may be given again.
        ranks: how many there are now.
    """
    if not isinstance(iterator, EpochBatchIterator) or "load_state_dict" in vars(iterator):
        return iterator
    save, load = iterator.state_dict, iterator.load_state_dict

    def load_state_dict(state: dict[str, Any]) -> None:
        had = state.get("iterations_in_epoch", 0) * state.get(RANKS, ranks)
        load({**state, "iterations_in_epoch": had // ranks})

    iterator.state_dict = lambda: {**save(), RANKS: ranks}
    iterator.load_state_dict = load_state_dict
    return iterator
