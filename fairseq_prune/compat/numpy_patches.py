"""Names of numpy and bitarray that fairseq 0.12.2 uses and newer releases dropped."""

import importlib
import inspect
import warnings
from types import ModuleType, SimpleNamespace
from typing import Any

from _fairseq_prune_compat.overlay import Overlay

# module -> what it uses of numpy's old names
_USERS = {
    "fairseq.data.data_utils": ("int", "percentile"),
    "fairseq.data.language_pair_dataset": ("compat",),
    "fairseq.data.token_block_dataset": ("compat",),
    "fairseq.modules.dynamic_crf_layer": ("float",),
}


def numpy_names() -> None:
    """Gives ``np.int``, ``np.float``, ``np.compat.long`` and ``np.percentile(interpolation=)``
    back to the four modules of fairseq that use them, where this numpy lacks them.
    """
    missing = _missing_names(importlib.import_module("numpy"))
    for name, used in _USERS.items():
        own = {key: missing[key] for key in used if key in missing}
        if own:
            module: Any = importlib.import_module(name)
            module.np = Overlay(module.np, **own)


def _missing_names(numpy: ModuleType) -> dict[str, Any]:
    replacements: dict[str, Any] = {"int": int, "float": float, "compat": SimpleNamespace(long=int)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # releases between announce the end of these names
        missing = {key: own for key, own in replacements.items() if not hasattr(numpy, key)}
    if "interpolation" not in inspect.signature(numpy.percentile).parameters:
        missing["percentile"] = _percentile(numpy)
    return missing


def _percentile(numpy: ModuleType) -> Any:
    def percentile(*args: Any, **options: Any) -> Any:
        if "interpolation" in options:
            options["method"] = options.pop("interpolation")
        return numpy.percentile(*args, **options)

    return percentile


def bitarray_rindex() -> None:
    """Gives ``bitarray.util.rindex``, gone in bitarray 3, back to fairseq's Huffman coder."""
    coder: Any = importlib.import_module("fairseq.data.huffman.huffman_coder")
    if hasattr(coder.util, "rindex"):
        return

    def rindex(bits: Any, value: int = 1) -> int:
        """Returns the index of the last ``value`` in ``bits``; ValueError if there is none."""
        found: int = bits.find(value, right=True)
        if found < 0:
            raise ValueError(f"{value!r} is not in the bitarray.")
        return found

    coder.util = Overlay(coder.util, rindex=rindex)
