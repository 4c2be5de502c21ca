"""Checkpoints' models under their own task, as fairseq's programs for decoding load them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fairseq import checkpoint_utils, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from fairseq_prune.data.samples import dictionary_of
from fairseq_prune.pruning.refusal import reason_of

# tables whose rows are a dictionary's, below a language pair where each has a model
_TABLE = re.compile(
    r"(models\.(?P<pair>[^.]+)\.)?"
    r"(?P<table>encoder(\.sentence_encoder)?\.embed_tokens|decoder\.embed_tokens"
    r"|decoder\.(output_projection|fc_out))\.weight"
)


@dataclass(frozen=True)
class Loaded:
    """Models that decode together, most often one.

    Args:
        task: that of the first file.
        saved: the configuration of the last one, as fairseq gives it.
    """

    models: Sequence[Any]
    saved: Any
    task: Any


class DataProblem(Exception):
    """The task cannot be set up: it is the data that fairseq cannot open."""


class Misfit(ValueError):
    """Tables of a checkpoint have other numbers of rows than the dictionaries; says which."""


def load(paths: Sequence[str], overrides: Mapping[str, Any]) -> Loaded:
    """The models of checkpoints, under the task of the first.

    Args:
        overrides: replace settings of the files wherever they have them.

    Raises what fairseq raises; DataProblem where it cannot open the data, and Misfit where the
    dictionaries do not fit.
    """
    task: Any = None
    models = []
    for path in paths:
        state = checkpoint_utils.load_checkpoint_to_cpu(path, dict(overrides))
        task = _task(config_of(state)) if task is None else task
        whose = "its" if len(paths) == 1 else f"{path}'s"
        with misfits_named(state["model"], task, whose):
            (found,), saved, _ = checkpoint_utils.load_model_ensemble_and_task(
                [path], dict(overrides), task, state=state
            )
        models.append(found)
    return Loaded(models, saved, task)


@contextmanager
def misfits_named(model: Mapping[str, Any], task: Any, whose: str = "its") -> Iterator[None]:
    """Makes an error in loading a Misfit where it is a dictionary that has another size.

    Args:
        model: what is loaded, which a model may change.
        whose: what a message calls the checkpoint.
    """
    shapes = {name: tuple(value.shape) for name, value in model.items()}
    try:
        yield
    except RuntimeError as error:
        sentence = _misfit(shapes, task) if "size mismatch" in str(error) else None
        if sentence is None:
            raise
        raise Misfit(f"{whose} {sentence}") from None


def check_data(path: str, data: str) -> None:
    """Raise DataProblem or Misfit where a checkpoint's task cannot use these data.

    Args:
        path: the checkpoint; its model is not built.
        data: one folder, or several with colons between them.
    """
    state = checkpoint_utils.load_checkpoint_to_cpu(path, {"data": data})
    shapes = {name: tuple(value.shape) for name, value in state["model"].items()}
    sentence = _misfit(shapes, _task(config_of(state)))
    if sentence is not None:
        raise Misfit(f"its {sentence}")


def _task(config: Any) -> Any:
    try:
        return tasks.setup_task(config.task)
    except Exception as error:
        name = getattr(config.task, "_name", None) or getattr(config.task, "task", None)
        if isinstance(error, FileNotFoundError) and error.filename:
            sentence = f"the checkpoint's task {name} reads {error.filename}, which is not there"
            raise DataProblem(sentence) from None
        if name not in tasks.TASK_REGISTRY:
            raise DataProblem(
                f"the checkpoint's task {name} is none of fairseq's; name the plugin that has it "
                "with --user-dir"
            ) from None
        raise DataProblem(reason_of(error)) from None


def config_of(state: Mapping[str, Any]) -> Any:
    """The configuration in a checkpoint, that of old versions as today's."""
    if state.get("args") is not None:
        return convert_namespace_to_omegaconf(state["args"])
    return state["cfg"]


def _misfit(shapes: Mapping[str, tuple[int, ...]], task: Any) -> str | None:
    """Which table and dictionary differ in size, without the full stop; None where none do."""
    for name, shape in shapes.items():
        found = _TABLE.fullmatch(name)
        if found is None or len(shape) != 2:
            continue
        is_source = found["table"].startswith("encoder")
        dictionary = dictionary_of(task, "source" if is_source else "target", found["pair"])
        if dictionary is not None and shape[0] != len(dictionary):
            return (
                f"{name} is for {shape[0]:,} tokens, and the "
                f"{'source' if is_source else 'target'} dictionary of the data, with special "
                f"tokens and those that the task adds, has {len(dictionary):,}: give the folder "
                "that the model was trained on, or its languages"
            )
    return None
