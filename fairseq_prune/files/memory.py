"""How much memory a process takes, as Linux counts it."""

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # see proc(5)


def reset_peak() -> None:
    """Have :func:`peak_resident` speak of what follows; memory that is not used is given back.

    Where the system is another one, nothing happens.
    """
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # of glibc
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)


def peak_resident() -> int | None:
    """The most bytes of memory that this process held at once; None where nothing says it.

    It is VmHWM of proc(5): what lies in memory of programs, libraries and data, shared or not.
    """
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
