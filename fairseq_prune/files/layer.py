"""Whether the compat layer of this Python is that of this copy of the package.

An environment has one layer, `_fairseq_prune_compat`: fairseq loads it before any ``--user-dir`` is
known. A second checkout that is used there (PYTHONPATH, ``--user-dir``) gets the first one's.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

_NAME = "_fairseq_prune_compat"


def check_layer(package: Path) -> None:
    """Say on stderr where the layer is of another version than ``package``, which is a checkout.

    Args:
        package: the folder ``fairseq_prune``; where it is installed, the layer came with it.
    """
    own, spec = package / "compat", find_spec(_NAME)
    if spec is None or not spec.submodule_search_locations or not own.is_dir():
        return
    theirs = Path(spec.submodule_search_locations[0])
    if theirs.samefile(own) or _content(theirs) == _content(own):
        return
    print(
        f"fairseq_prune: warning: {package} is used with the layer of another version, {theirs}: "
        f"install what you use (pip install -e {package.parent}), or give each checkout an "
        f"environment of its own (bash {package.parent}/scripts/setup_env.sh).",
        file=sys.stderr,
    )


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.py")}
