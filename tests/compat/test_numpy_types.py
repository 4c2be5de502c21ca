"""numpy values in a checkpoint: the plain ones come back, the others are refused."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _fairseq_prune_compat.loading import CheckpointRefused, safe_load
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

PLAIN = arrays.boolean_dtypes() | arrays.integer_dtypes() | arrays.floating_dtypes()


def through_a_file(value: Any, folder: Path) -> Any:
    torch.save({"value": value}, folder / "checkpoint.pt")
    return safe_load(folder / "checkpoint.pt")["value"]


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(PLAIN, arrays.array_shapes(min_dims=0, min_side=0, max_side=4)))
def test_plain_arrays_come_back_as_from_a_plain_pickle(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray
) -> None:
    back = through_a_file(array, tmp_path_factory.mktemp("array"))
    plain = pickle.loads(pickle.dumps(array, protocol=2))
    assert (back.dtype, back.shape) == (plain.dtype, plain.shape)
    assert back.tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    "number", [np.float64(0.1), np.float32(2), np.int64(-3), np.bool_(True), np.str_("ab")]
)
def test_numbers_come_back_with_their_type(number: Any, tmp_path: Path) -> None:
    back = through_a_file(number, tmp_path)
    assert type(back) is type(number)
    assert back == number


def test_text_arrays_and_column_order_come_back(tmp_path: Path) -> None:
    columns = np.asfortranarray(np.arange(6).reshape(2, 3))
    assert through_a_file(np.array(["ab", "c"]), tmp_path).tolist() == ["ab", "c"]
    back = through_a_file(columns, tmp_path)
    assert back.flags.f_contiguous and (back == columns).all()


def test_an_array_that_was_loaded_saves_as_a_plain_one(tmp_path: Path) -> None:
    back = through_a_file(np.arange(3), tmp_path)
    assert type(pickle.loads(pickle.dumps(back))) is np.ndarray
    assert type(copy.deepcopy(back)) is np.ndarray
    assert through_a_file(back, tmp_path).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "value",
    [
        np.array([{}], dtype=object),
        np.zeros(2, dtype=[("a", int), ("b", object)]),
        np.dtype("O"),
        np.dtype([("a", "O")]),
    ],
    ids=["objects", "compound", "object dtype", "compound dtype"],
)
def test_what_refers_to_memory_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="numpy"):
        through_a_file(value, tmp_path)


class Disguised:
    """Pickles as a float64 dtype whose state says that it holds Python objects."""

    def __reduce__(self) -> Any:
        fields = {"a": (np.dtype("f8"), 0)}
        return np.dtype, ("f8", False, True), (3, "<", None, ("a",), fields, 8, 8, 0)


def test_a_number_type_with_fields_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="compound"):
        through_a_file(Disguised(), tmp_path)


class Scalar:
    """Pickles as a call of numpy's scalar() with too few bytes."""

    def __reduce__(self) -> Any:
        return np.float64(1).__reduce__()[0], (np.dtype("f8"), b"abc")


def test_a_number_with_too_few_bytes_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not a checkpoint that can be read"):
        through_a_file(Scalar(), tmp_path)
