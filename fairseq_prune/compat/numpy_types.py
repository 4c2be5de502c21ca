"""Stand-ins that rebuild numpy values from a pickle without trusting it.

numpy's own unpickling takes whatever the file says: a float64 dtype can be told that it holds
Python objects, and the next array then reads pointers from the file. These accept numbers, booleans
and text, and nothing that refers to memory.
"""

import pickle
from typing import Any

import numpy as np

_PLAIN_KINDS = "biufcSU"  # bool, int, unsigned, float, complex, bytes, text


class PlainDtype:
    """Stands in for ``numpy.dtype`` while a file is read; ``value`` is the real one."""

    def __init__(self, name: Any, align: bool = False, copy: bool = True) -> None:
        dtype = np.dtype(name) if isinstance(name, str) else None
        if dtype is None or dtype.kind not in _PLAIN_KINDS or dtype.shape:
            raise pickle.UnpicklingError(f"Unsupported class: GLOBAL numpy.dtype[{name!r}]")
        self.value = dtype

    def __setstate__(self, state: Any) -> None:
        """Takes the byte order; anything else that a plain dtype cannot have is refused."""
        _, order, *parts = state
        if order not in ("<", ">", "|", "=") or any(part is not None for part in parts[:3]):
            raise pickle.UnpicklingError("Unsupported class: GLOBAL numpy.dtype[compound]")
        self.value = self.value.newbyteorder(order)


class PlainArray(np.ndarray):
    """An array that a file may fill. It pickles and copies as a plain ``numpy.ndarray``."""

    def __setstate__(self, state: Any) -> None:
        version, shape, dtype, fortran, data = state
        super().__setstate__((version, shape, _real(dtype), fortran, _bytes(data)))

    def __reduce__(self) -> Any:
        return self.view(np.ndarray).__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.view(np.ndarray).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: Any) -> Any:
        return self.view(np.ndarray).__deepcopy__(memo)


def empty_array(kind: type, shape: Any, code: Any) -> PlainArray:
    """Returns the empty array that the pickle fills next; ``kind`` must be an array class."""
    if kind is not PlainArray:
        raise pickle.UnpicklingError(f"Unsupported class: GLOBAL {kind!r}")
    return PlainArray((0,), dtype=np.uint8)


def scalar(dtype: Any, data: Any) -> Any:
    """Returns one number of type ``dtype`` from its bytes."""
    return np.frombuffer(_bytes(data), dtype=_real(dtype), count=1)[0]


def _real(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, PlainDtype):
        raise pickle.UnpicklingError(f"Unsupported class: GLOBAL {type(dtype).__name__}")
    return dtype.value


def _bytes(data: Any) -> bytes:
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError("Unsupported class: GLOBAL numpy.ndarray[object]")
    return data


def safe_numpy_types() -> list[tuple[Any, str]]:
    """Returns the stand-ins under the names that numpy 1 and numpy 2 write into pickles."""
    named: list[tuple[Any, str]] = [(PlainDtype, "numpy.dtype"), (PlainArray, "numpy.ndarray")]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        named.append((empty_array, f"{module}._reconstruct"))
        named.append((scalar, f"{module}.scalar"))
    return named
