"""fairseq 0.12.2 with today's installers, and with checkpoints of strangers."""

import argparse
import functools
import importlib
import importlib.util
import os
from typing import Any

from _fairseq_prune_compat.plain_values import plain_value

# the modules that call eval() on strings which a checkpoint's config holds
_EVALUATORS = (
    "fairseq.utils",
    "fairseq.models.fconv",
    "fairseq.models.fconv_lm",
    "fairseq.models.fconv_self_att",
    "fairseq.models.hubert.hubert",
    "fairseq.models.lightconv_lm",
    "fairseq.models.speech_to_text.s2t_wav_transformer",
    "fairseq.models.transformer_lm",
    "fairseq.models.wav2vec.wav2vec",
    "fairseq.models.wav2vec.wav2vec2",
)


class ArchitectureUnknown(ValueError):
    """A checkpoint's model is of an architecture that fairseq does not know."""


def config_strings() -> None:
    """Reads strings of a model's config as values, where fairseq runs them as code.

    A convolutional model has ``--encoder-layers "[(512, 3)] * 20"``, saved in its checkpoint and
    given to ``eval`` when the model is built again: a checkpoint could run anything by it.
    """
    for name in _EVALUATORS:
        module: Any = importlib.import_module(name)
        module.eval = plain_value


def unknown_architectures() -> None:
    """Says in a sentence that a checkpoint needs a plugin, where fairseq fails at saying so.

    It formats the whole configuration twice, and stumbles over the ``{}`` in it.
    """
    models: Any = importlib.import_module("fairseq.models")
    original = models.build_model

    @functools.wraps(original)
    def build_model(cfg: Any, task: Any, from_checkpoint: bool = False) -> Any:
        name = getattr(cfg, "_name", None) or getattr(cfg, "arch", None)
        known = (models.ARCH_MODEL_REGISTRY, models.MODEL_DATACLASS_REGISTRY)
        if name and not any(name in registry for registry in known):
            raise ArchitectureUnknown(
                f"fairseq has no architecture {str(name)[:80]!r}: give the --user-dir of the "
                "plugin that brings it, such as --user-dir fairseq_prune."
            )
        return original(cfg, task, from_checkpoint)

    models.build_model = build_model


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
