"""Source of the start-up line: setup.py packs this file into fairseq_prune_compat.pth.

It runs at every start of the interpreter, so it imports nothing that is not loaded already.
"""

import os
import sys


class FairseqPruneFinder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):  # type: ignore[no-untyped-def]
        # _pytest: hydra 1.0 registers a pytest plugin, which pytest loads by a finder of its own,
        # ahead of this one. Seeing pytest start is the last chance to be in time.
        if name not in ("fairseq", "hydra", "antlr4", "_pytest"):
            return None
        try:
            from _fairseq_prune_compat import hook
        except ImportError:  # this line outlived its package: it must not break Python
            return None
        return hook.find_patched(cls, name, path, target)


# a virtual environment reads its .pth files twice
if os.environ.get("FAIRSEQ_PRUNE_COMPAT") != "0" and "FairseqPruneFinder" not in [
    getattr(finder, "__name__", "") for finder in sys.meta_path
]:
    sys.meta_path.insert(0, FairseqPruneFinder)
