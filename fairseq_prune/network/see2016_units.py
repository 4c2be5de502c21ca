"""The units of our ``see2016_lstm``: the columns of its embeddings.

Its cells are none. Attention multiplies the last layers' states by each other, with no matrix in
between: a cell whose rows are all zero still has the value that its biases give it, and counts in
the score. And all layers have one width.
"""

from collections.abc import Sequence

from fairseq_prune.network.units import Axis, Place, Shapes

_TABLES = {"encoder": "source-embedding", "decoder": "target-embedding"}


def is_see2016(shapes: Shapes) -> bool:
    """Whether these are the tensors of a ``see2016_lstm``."""
    return all(f"{side}.lstm.weight_ih_l0" in shapes for side in _TABLES)


def see2016_axes(shapes: Shapes) -> list[Axis]:
    """The axes of its two tables, in ``shapes``."""
    axes = []
    for side, label in _TABLES.items():
        table, reader = f"{side}.embed_tokens.weight", f"{side}.lstm.weight_ih_l0"
        places = (Place(table, 1), Place(reader, 1, True))
        axes.append(Axis(f"{side}.embed_tokens", "embedding", label, shapes[table][1], places))
    return axes


def check_kinds(kinds: Sequence[str]) -> None:
    """Raises ValueError where cells are asked for."""
    if "hidden" in kinds:
        raise ValueError(
            "--prune-structure hidden cannot cut the cells of see2016_lstm, whose attention "
            "multiplies states by states without a matrix between; use embedding, or weight."
        )
