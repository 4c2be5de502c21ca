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


# Ctrl-C while a program of fairseq's or ours is still importing ends it at once, as nothing is
# written yet. An exception there is lost in some library's except, or shown by it.
def _watch(os=os, sys=sys):  # type: ignore[no-untyped-def]
    words, argv = sys.orig_argv, getattr(sys, "argv", None) or [""]
    name = os.path.basename(argv[0])
    if argv[0] == "-m" and "-m" in words[:-1]:
        name = words[words.index("-m") + 1]
        name = {"fairseq_prune.cli.main": "fairseq-prune"}.get(name, name)
        name = name.replace("fairseq_cli.", "fairseq-").replace("_", "-")
    known = "train hydra-train generate interactive validate eval-lm preprocess score prune"
    if name not in ["fairseq-" + one for one in known.split()]:
        return
    import _signal  # type: ignore[import-not-found]  # loaded already, unlike signal

    def interrupted(*_, write=os.write, end=os._exit):  # type: ignore[no-untyped-def]
        write(2, (name + ": interrupted.\n").encode())
        end(130)

    interrupted.program = name  # type: ignore[attr-defined]
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, interrupted)


# a virtual environment reads its .pth files twice
if os.environ.get("FAIRSEQ_PRUNE_COMPAT") != "0" and "FairseqPruneFinder" not in [
    getattr(finder, "__name__", "") for finder in sys.meta_path
]:
    sys.meta_path.insert(0, FairseqPruneFinder)
    _watch()
