"""What fairseq 0.12.2 does not know about today's installers."""

import argparse
import functools
import importlib
import importlib.util
import os
from typing import Any


def user_dir_by_name() -> None:
    """Lets ``--user-dir fairseq_prune`` find the package wherever it is installed.

    fairseq looks for a bare name in the working directory and beside itself in site-packages. An
    editable install (``pip install -e .``) puts nothing there.
    """
    utils: Any = importlib.import_module("fairseq.utils")
    original = utils.import_user_module

    @functools.wraps(original)
    def import_user_module(args: Any) -> Any:
        found = _package_folder(getattr(args, "user_dir", None), os.path.dirname(utils.__file__))
        return original(argparse.Namespace(user_dir=found) if found else args)

    utils.import_user_module = import_user_module


def _package_folder(name: str | None, fairseq_folder: str) -> str | None:
    """Returns the folder of the package ``name``, or None where fairseq finds it by itself."""
    if not name or not name.isidentifier() or os.path.exists(name):
        return None
    for folder in (fairseq_folder, os.path.dirname(fairseq_folder)):
        if os.path.exists(os.path.join(folder, name)):
            return None
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    return places[0] if places else None
