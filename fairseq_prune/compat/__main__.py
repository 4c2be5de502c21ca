"""``python -m _fairseq_prune_compat MODULE ARGS``: run a module with the patches in place.

For environments whose .pth files Python does not read (PYTHONPATH, pip --target, python -S).
"""

import runpy
import sys


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(
            "usage: python -m _fairseq_prune_compat MODULE [ARGS], "
            "for example fairseq_cli.train DATA --arch lstm"
        )
    import _fairseq_prune_compat.startup  # noqa: F401  (importing it installs the finder)

    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
