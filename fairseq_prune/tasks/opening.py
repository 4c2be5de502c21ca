"""A checkpoint opened as the class of its own model reads it.

Every command reads files here: names are those that fairseq has today, whatever version wrote the
file, and tensors are tied where the model ties them. A plain Transformer or LSTM as fairseq writes
it today is known as that (network/stock.py); any other model is built. Where it cannot be (an
architecture of a plugin that is not loaded, say) the file and its settings have to do.
"""

import logging
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

import fairseq_prune
from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.checkpoint import Layout, Opened, not_begun, opened_of, with_states
from fairseq_prune.checkpoints.mask_layout import AsLoaded
from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.network.options import model_options
from fairseq_prune.network.stock import stock_ties
from fairseq_prune.network.ties import (
    equal_pairs,
    names_in,
    tied,
    ties_by_settings,
    ties_by_storage,
    ties_of,
)
from fairseq_prune.pruning.refusal import reason_of

if TYPE_CHECKING:
    from fairseq_prune.tasks.skeleton import Skeleton

_WRAPPER = "module."  # of torch's DataParallel, in files of scripts
_NOISE = ("version", "_float_tensor")  # buffers that fairseq makes anew


@dataclass(frozen=True)
class Read:
    """A file as its model's class reads it.

    Args:
        content: all of it; a plain fairseq checkpoint, as fairseq writes it today.
        layout: its model.
        torn: pairs of names that are one tensor in the model and two different ones in the file.
    """

    content: dict[str, Any]
    layout: Layout
    torn: tuple[tuple[str, str], ...] = ()


def read(path: str, raw: Mapping[str, Any] | None = None) -> Read:
    """The checkpoint at ``path``.

    Args:
        raw: what is in it, where it has been loaded.

    Raises CheckpointError where it cannot be used, or equals itself in a way that only an
    architecture which is not known here could explain.
    """
    content = _whole(storage.load(path) if raw is None else raw)
    layout, today = _layout_of(path, content)
    torn: list[tuple[str, str]] = []

    def change(state: Mapping[str, Any]) -> Any:
        found, apart = tied(today(state), layout.ties)
        torn.extend(apart if state is content["model"] else ())
        return _like(state, found)

    changed = {**content, **with_states(content, change)}  # with its optimizer's state
    return Read(changed, layout, tuple(torn))


def _layout_of(path: str, content: Mapping[str, Any]) -> tuple[Layout, AsLoaded]:
    """The model of a file, and what gives a state dict of it today's names and shapes."""
    stored = content["model"]
    ties = stock_ties(content)
    if ties is not None:  # without fairseq, whose import takes a second
        return Layout(None, ties, stored, partial(_as_loaded, content)), dict
    skeleton, why = _skeleton_of(content)
    if skeleton is None:
        asked = ties_by_settings(model_options(content))
        shared = [every for every in ties_by_storage(stored) if not names_in(asked) & {*every}]
        ties = [*asked, *shared]
        _check_unequal(path, stored, ties, why)
        return Layout(ties=ties), dict
    # averages lack the buffers by whose number fairseq knows how old a model is
    versions = {name: value for name, value in stored.items() if name.endswith("version")}
    layout = Layout(skeleton.model, ties_of(skeleton.model), stored, skeleton.as_loaded)
    return layout, partial(_today, path, skeleton, versions)


def _as_loaded(content: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """What the model of a stock file makes of another file's tensors."""
    skeleton, _ = _skeleton_of(content)
    return dict(state) if skeleton is None else skeleton.as_loaded(state)


def open_checkpoint(
    path: str,
    classes: str | None = None,
    exclude: Sequence[str] = (),
    torn: bool = False,
) -> Opened:
    """The checkpoint at ``path``, to be pruned or looked at.

    Args:
        classes, exclude: see :func:`fairseq_prune.checkpoints.checkpoint.opened_of`.
        torn: take it also where tied tensors differ.

    Raises ValueError where the file cannot be used, or its masks are not for its own model.
    """
    found = read(path)
    if found.torn and not torn:
        one, other = found.torn[0]
        raise CheckpointError(
            f"{path} is damaged: {one} and {other} are one tensor in its model, and differ in the "
            "file."
        )
    return opened_of(path, found.content, found.layout, classes, exclude)


def import_plugin(user_dir: str | None) -> None:
    """Import what --user-dir names, this package included; again changes nothing.

    Raises ValueError where it cannot be imported.
    """
    if user_dir is None:
        return
    ours, given = Path(fairseq_prune.__file__).parent, Path(user_dir)
    if given.name == ours.name and given.is_dir() and not given.samefile(ours):
        raise ValueError(
            f"--user-dir {user_dir} is another copy of the package than {ours}, which runs this "
            f"command: leave it out, or run that copy (PYTHONPATH={given.absolute().parent} python "
            "-m fairseq_prune.cli.main ...)."
        )
    quiet_fairseq()
    from fairseq.utils import import_user_module

    try:
        import_user_module(Namespace(user_dir=user_dir))
        if Path(user_dir).name == "fairseq_prune":  # imported before fairseq, it has not registered
            fairseq_prune.register()
    except Exception as error:  # of anybody's code
        why = "there is no such folder" if isinstance(error, OSError) else reason_of(error)
        raise ValueError(f"--user-dir {user_dir} cannot be imported: {why}.") from None


def check_written(path: str) -> str | None:
    """Open a file once, by the class of its own model, before anybody is told that it is there.

    Returns why it could not be tried, or None. Raises CheckpointError where it does not open.
    """
    content = storage.load(path, whole=False)
    skeleton, why = _skeleton_of(content)
    if skeleton is None:
        return why
    try:
        skeleton.check(content["model"])
    except Exception as error:
        raise CheckpointError(
            f"the result is not written, as fairseq could not open it: {reason_of(error)}."
        ) from None
    return None


def _skeleton_of(content: Mapping[str, Any]) -> "tuple[Skeleton | None, str | None]":
    quiet_fairseq()
    from fairseq_prune.tasks.skeleton import skeleton_of  # fairseq takes a second to load

    return skeleton_of(content)


def quiet_fairseq() -> None:
    """Before it is imported: it would log what it reads and lacks, between results."""
    if "fairseq" not in sys.modules:
        logging.basicConfig(level=logging.WARNING)


def _whole(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content, with what fairseq asks for and a script has left out."""
    model = content["model"]
    if model and all(str(name).startswith(_WRAPPER) for name in model):
        model = _like(model, {n.removeprefix(_WRAPPER): value for n, value in model.items()})
    rest = {"args": None, "cfg": None, **not_begun()}
    missing = {key: value for key, value in rest.items() if content.get(key) is None}
    if "best_loss" in content:  # fairseq has its own way with files that are so old
        missing = {}
    return {**content, **missing, "model": model}


def _today(
    path: str, skeleton: "Skeleton", versions: Mapping[str, Any], state: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        found = skeleton.as_loaded({**versions, **state})
    except Exception as error:
        raise CheckpointError(
            f"{path} does not hold the model that its settings describe: {reason_of(error)}."
        ) from None
    same = {n: state[n] if n.endswith(_NOISE) else found[n] for n in state if n in found}
    return {**same, **{n: v for n, v in found.items() if n not in same and not n.endswith(_NOISE)}}


def _like(state: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
    """``found`` as the kind of mapping that ``state`` is, with what torch notes there."""
    result: Any = type(state)(found) if isinstance(state, dict) else dict(found)
    if hasattr(state, "_metadata"):
        result._metadata = state._metadata
    return result


def _check_unequal(path: str, state: Mapping[str, Any], ties: Any, why: str | None) -> None:
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    apart = equal_pairs(tensors, ties)
    if apart:
        # a file may have any name, lines of numbers too
        one, other = (" ".join(name.split())[:120] for name in apart[0])
        raise CheckpointError(
            f"{path}: {one} and {other} are equal in every bit, and only the model's class says "
            f"whether they are one tensor, which cannot be asked here ({why}): give the --user-dir "
            "that brings it."
        )
