"""The model that a checkpoint is of, built without data and without memory for its weights.

What a file's tensors are, only the model's class knows: which names share one tensor, which are
never trained, and what tensors of an older fairseq are called today. So it is built as fairseq
builds it, by the checkpoint's own task and settings, on torch's ``meta`` device. Dictionaries are
stood in for by ones of the right size, which the shapes in the file tell.
"""

import copy
import logging
import re
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from fairseq import checkpoint_utils, tasks
from fairseq.data import Dictionary
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.modules import SinusoidalPositionalEmbedding
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fairseq_prune import models
from fairseq_prune.network.options import architecture, model_options
from fairseq_prune.pruning.refusal import reason_of

_UNIT = 1_000_000  # tokens: of dictionaries whose size is not known yet, and larger than any
_FEW = 4  # tokens of a dictionary that no tensor depends on
_MANY = re.compile(r"(^|_)(layers|blocks|depth)(_|$)")  # settings that count parts of a model
_READ = ("encoder_embed_path", "decoder_embed_path")  # what training begins with: in the file now
_FUSED = "transformer_bert_fused"  # would load the whole of a BERT


@dataclass(frozen=True)
class Skeleton:
    """A model without its weights.

    Args:
        model: on the ``meta`` device.
        settings: the model's own.
    """

    model: Any
    settings: Any

    def as_loaded(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """A state dict as fairseq makes it ready for this model: today's names and shapes."""
        return as_loaded(self.model, state, self.settings)

    def check(self, state: Mapping[str, Any]) -> None:
        """Load a state dict as fairseq does; raises what torch raises where it does not fit."""
        with _quiet():
            self.model.load_state_dict(dict(state), strict=True, model_cfg=self.settings)


def as_loaded(model: Any, state: Mapping[str, Any], settings: Any) -> dict[str, Any]:
    """What fairseq's ``load_state_dict`` does before torch's; nothing in ``state`` is changed."""
    result = dict(state)
    if hasattr(model, "upgrade_state_dict"):
        model.upgrade_state_dict(result)
    # which forgets the layers to keep when it has used them
    found: dict[str, Any] = checkpoint_utils.prune_state_dict(result, copy.copy(settings))
    return found


def skeleton_of(content: Mapping[str, Any]) -> tuple[Skeleton | None, str | None]:
    """The model that a checkpoint is of, or the reason why fairseq cannot make it of its settings.

    Args:
        content: as loaded; its tensors tell the sizes of dictionaries.
    """
    models.register()
    state = {str(n): v for n, v in content["model"].items() if isinstance(v, Tensor)}
    try:
        _check_sane(content)
        config = _settings(content)
        first = _build(config, lambda number: _UNIT * (number + 1))
        sizes = _sizes(first, as_loaded(first.model, state, config.model))
        second = _build(config, lambda number: sizes.get(number, _FEW))
    except Exception as error:
        return None, reason_of(error)
    return Skeleton(second.model, config.model), None


@dataclass(frozen=True)
class _Settings:
    task: Any
    model: Any


@dataclass(frozen=True)
class _Built:
    model: nn.Module
    dictionaries: int  # how many were asked for


def _check_sane(content: Mapping[str, Any]) -> None:
    """Raise ValueError for what would take forever, or load what no state dict has."""
    name = str(architecture(content))
    if name.startswith(_FUSED):
        raise ValueError(f"the architecture {name} has a BERT, which would have to be loaded")
    most = len(content["model"])
    for key, value in _every_setting(model_options(content).values):
        if _MANY.search(key) and isinstance(value, int) and value > most:
            raise ValueError(f"its settings have {key} {value}, and the file only {most} tensors")


def _every_setting(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values, those of an encoder or decoder's own part among them."""
    for key, value in values.items():
        yield str(key), value
        if isinstance(value, Mapping):
            yield from ((str(inner), own) for inner, own in value.items())


def _settings(content: Mapping[str, Any]) -> _Settings:
    """The settings of the task and of the model in a checkpoint, as fairseq reads them."""
    arguments, config = content.get("args"), content.get("cfg")
    if isinstance(arguments, Namespace):
        arguments = copy.deepcopy(arguments)
        arguments.task = getattr(arguments, "task", "translation")
        whole = convert_namespace_to_omegaconf(arguments)
        found = _Settings(whole.task, whole.model)
    elif isinstance(config, Mapping):
        found = _Settings(*(_as_fairseq_has_it(config.get(part)) for part in ("task", "model")))
    else:
        raise ValueError("the file holds no settings")
    _read_nothing(vars(found.model) if isinstance(found.model, Namespace) else found.model)
    if getattr(found.task, "data", "") is None:  # some take the path apart, though nothing is read
        found.task.data = "data"
    return found


def _as_fairseq_has_it(settings: Any) -> Any:
    if isinstance(settings, Mapping) and not OmegaConf.is_config(settings):
        return OmegaConf.create(dict(settings))
    return copy.deepcopy(settings)


def _read_nothing(settings: Any) -> None:
    for name in _READ:
        if settings.get(name):
            settings[name] = None


def _build(config: _Settings, size: Callable[[int], int]) -> _Built:
    """The model, with dictionaries of these sizes by the order in which they are asked for."""
    config, numbers = copy.deepcopy(config), dict[str, int]()
    with _dictionaries(size, numbers), torch.device("meta"), _NoValues(), _positions(), _quiet():
        task = tasks.setup_task(config.task)
        model = task.build_model(config.model, from_checkpoint=True)
    return _Built(model, len(numbers))


@contextmanager
def _dictionaries(size: Callable[[int], int], numbers: dict[str, int]) -> Iterator[None]:
    """Within it, a dictionary that is read from a file has a size, and no more words.

    Args:
        numbers: is given the number of each file.
    """
    original = Dictionary.add_from_file

    def add_from_file(dictionary: Any, file: Any) -> None:
        number = numbers.setdefault(str(file), len(numbers))
        more = size(number)
        kind = type(dictionary)
        length = {"__len__": lambda own: len(own.symbols) + more}
        dictionary.__class__ = type(kind.__name__, (kind,), length)

    Dictionary.add_from_file = add_from_file
    try:
        yield
    finally:
        Dictionary.add_from_file = original


def _sizes(built: _Built, state: Mapping[str, Any]) -> dict[int, int]:
    """How many words each dictionary has, by its number: where a dimension of the model is that of
    a dictionary, the file has its true size."""
    found: dict[int, int] = {}
    for name, tensor in built.model.state_dict().items():
        stored = state.get(name)
        if not isinstance(stored, Tensor) or stored.dim() != tensor.dim():
            continue
        for stands, true in zip(tensor.shape, stored.shape, strict=True):
            number = round(stands / _UNIT) - 1
            if 0 <= number < built.dictionaries:
                found.setdefault(number, true - (stands - _UNIT * (number + 1)))
    return found


class _NoValues(TorchFunctionMode):
    """Tensors without memory get no values; to draw them, torch would load its compiler."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "fill_", "cpu"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def _positions() -> Iterator[None]:
    """The same for the sines that are no weights, and are in no file."""
    original = SinusoidalPositionalEmbedding.get_embedding

    def get_embedding(count: int, width: int, padding_idx: int | None = None) -> Tensor:
        return torch.empty(count, width)

    SinusoidalPositionalEmbedding.get_embedding = staticmethod(get_embedding)
    try:
        yield
    finally:
        SinusoidalPositionalEmbedding.get_embedding = staticmethod(original)


@contextmanager
def _quiet() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.INFO)  # of dictionaries that are stood in for
    try:
        with warnings.catch_warnings():  # that nothing is copied to the meta device
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
