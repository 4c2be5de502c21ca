"""The settings that a checkpoint was trained with, as flags of fairseq-train that give them again.

fairseq's own parser decides: what it makes of the flags is compared with what the checkpoint says,
and what differs is added, until nothing does.
"""

import argparse
import ast
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from difflib import get_close_matches
from enum import Enum
from typing import Any, NoReturn

from fairseq import options
from fairseq.dataclass import FairseqDataclass
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.models.transformer import TransformerConfig, TransformerModelBase
from fairseq.registry import REGISTRIES

from fairseq_prune.network.options import architecture, model_options, task_name, task_options

# a run's own places and files, its start, and the machines that it ran on
_OF_A_RUN = frozenset(
    """
    user_dir log_file aim_repo aim_run_hash tensorboard_logdir wandb_project azureml_logging
    plasma_path profile reset_logging save_dir restore_file continue_once finetune_from_model
    reset_dataloader reset_lr_scheduler reset_meters reset_optimizer optimizer_overrides no_save
    no_last_checkpoints checkpoint_suffix checkpoint_shard_count load_checkpoint_on_all_dp_ranks
    write_checkpoints_asynchronously model_parallel_size ema_seed_model device_id nprocs_per_node
    num_shards shard_id encoder_embed_path decoder_embed_path warmup_from_nmt no_seed_provided
    """.split()
)
_OF_MACHINES = ("distributed_", "pipeline_")
# what fairseq takes from another flag where it is not given
_FOLLOWING = frozenset(
    """
    max_tokens_valid batch_size_valid update_epoch_batch_itr fp16 bf16 tpu decoder_input_dim
    decoder_output_dim encoder_conv_dim decoder_conv_dim
    """.split()
)
_SECTIONS = (
    *("task", "criterion", "optimizer", "lr_scheduler", "scoring", "bpe", "tokenizer"),
    *("common", "dataset", "optimization", "checkpoint", "distributed_training", "bmuf", "ema"),
)


def training_flags(checkpoint: Mapping[str, Any], given: Sequence[str] = ()) -> list[str]:
    """The words that follow ``fairseq-train DATA --user-dir fairseq_prune`` to train likewise.

    The task, the architecture with all its sizes, the loss, the optimizer, its schedule, batches,
    dropout and the length of the training: all that is not fairseq's default. Left out is where a
    run wrote, what it began with, and on how many machines it ran.

    Args:
        checkpoint: as loaded, of any version of fairseq; its settings may be nested.
        given: words that stand instead of the checkpoint's, such as ``--lr 0.001``; they come last.

    Raises ValueError where fairseq and this package know no such task, model, loss or optimizer,
    or have no flag that gives a setting; and where fairseq-train does not take a given word.
    """
    saved = Saved(checkpoint)
    options_given = {word.partition("=")[0] for word in given if word.startswith("-")}
    words = list(saved.names(options_given))
    added: set[str] = set()
    while True:
        arguments, actions = _parsed([*words, *given])
        lacking = [a for a in actions if options_given.isdisjoint(a.option_strings)]
        lacking = [a for a in lacking if not _gives(arguments, a.dest, saved)]
        lacking = [a for a in lacking if a.dest not in _FOLLOWING] or lacking
        again = [action.dest for action in lacking if action.dest in added]
        more = [word for action in lacking for word in _words(action, saved.get(action.dest))]
        if again or (lacking and not more):
            name = (again or [lacking[0].dest])[0]
            raise ValueError(
                f"its settings have {name} {saved.get(name)!r}, which no flag of fairseq-train "
                "gives with the others"
            )
        if not more:
            return [*words, *given]
        added |= {action.dest for action in lacking}
        words += more


def data_of(checkpoint: Mapping[str, Any]) -> str:
    """The data that a checkpoint was trained on, as it was typed, or DATA where they are gone."""
    found = task_options(checkpoint).get("data")
    return found if isinstance(found, str) and os.path.exists(found.split(":")[0]) else "DATA"


class NotTaken(ValueError):
    """Words that fairseq-train does not take."""


class Saved:
    """What a checkpoint says of its training, by the names of fairseq's flags."""

    def __init__(self, checkpoint: Mapping[str, Any]) -> None:
        self._checkpoint, self._model = checkpoint, model_options(checkpoint)
        config = checkpoint.get("cfg")
        parts = [config.get(name) for name in _SECTIONS] if isinstance(config, Mapping) else []
        self._parts = [checkpoint.get("args")] if not parts else parts

    def get(self, name: str) -> Any:
        """The value of a setting; None where it is not said, or is none of how to train."""
        if name in _OF_A_RUN or name.startswith(_OF_MACHINES):
            return None
        own = [part for part in self._parts if isinstance(part, Mapping)]
        # a namespace has the flags of all parts as they were given: the model may be another now
        every = [vars(part) for part in self._parts if isinstance(part, argparse.Namespace)]
        for part in (*own, {name: self._model.get(name)}, *every):
            if part.get(name) is not None:
                return part[name]
        return self._nested(name)

    def _nested(self, name: str) -> Any:
        """What fairseq takes for a setting that a nested configuration leaves out."""
        side, _, rest = name.partition("_")
        if not self._model.nests(side):
            return None
        kind = type(getattr(TransformerConfig(), side))
        try:
            return _said(getattr(kind(**self._model.values[side]), rest, None))
        except TypeError:  # a plugin's, with settings of its own
            return None

    def default(self, name: str) -> Any:
        """What a model has where neither a flag nor its architecture says it."""
        model = ARCH_MODEL_REGISTRY[architecture(self._checkpoint)]
        kind = getattr(model, "__dataclass", None)
        if kind is None and issubclass(model, TransformerModelBase):
            kind = TransformerConfig
        return None if kind is None else _default(kind(), name)

    def names(self, given: Set[str]) -> Iterator[str]:
        """Flags of what is chosen by name, but those that are given: they bring flags of their own.

        Raises ValueError where there is no architecture.
        """
        arch = architecture(self._checkpoint)
        if arch is None:
            raise ValueError("it does not say what architecture it has")
        task = task_name(self._checkpoint) or "translation"
        yield from () if "--task" in given else ("--task", task)
        yield from ("--arch", arch)
        config = self._checkpoint.get("cfg") or {}
        old = _plain(self._checkpoint.get("args"))
        for kind, registry in REGISTRIES.items():
            part = config.get(kind, old.get(kind))
            name = part if isinstance(part, str) else _plain(part).get("_name")
            flag = "--" + kind.replace("_", "-")
            if name and name != registry["default"] and flag not in given:
                yield from (flag, str(name))


def _plain(part: Any) -> Mapping[str, Any]:
    if isinstance(part, argparse.Namespace):
        return vars(part)
    return part if isinstance(part, Mapping) else {}


def _parsed(words: list[str]) -> tuple[argparse.Namespace, list[argparse.Action]]:
    """What fairseq-train makes of these flags, and all the flags that it has with them."""
    parser = options.get_training_parser()

    def refuse(message: str) -> NoReturn:
        raise NotTaken(f"fairseq-train does not take it: {message[:160]}{_meant(message, parser)}")

    def ease(parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:  # what is not given yet, and DATA
            action.required = False
            if not action.option_strings:
                action.nargs, action.default = "?", "DATA"

    parser.error = refuse
    arguments = options.parse_args_and_arch(parser, words, modify_parser=ease)
    flags = [a for a in parser._actions if a.option_strings and a.dest not in ("help", "arch")]
    return arguments, [a for a in flags if a.dest not in ("task", *REGISTRIES)]


def _meant(message: str, parser: argparse.ArgumentParser) -> str:
    """The flag that an unknown one may have been meant to be, as the end of a sentence."""
    known = [option for action in parser._actions for option in action.option_strings]
    _, _, unknown = message.partition("unrecognized arguments: ")
    near = [w for word in unknown.split()[:1] for w in get_close_matches(word, known, 1)]
    return f"; is it {near[0]}?" if near else ""


def _default(config: Any, name: str) -> Any:
    """The default of a model's setting; None where it is taken from elsewhere."""
    side, _, rest = name.partition("_")
    part = getattr(config, side, None)
    nests = isinstance(part, FairseqDataclass)
    return _said(getattr(part, rest, None) if nests else getattr(config, name, None))


def _said(value: Any) -> Any:
    """A default, or None for one that says only where it is taken from."""
    return None if isinstance(value, str) and value.startswith("${") else value


def _gives(arguments: argparse.Namespace, name: str, saved: Saved) -> bool:
    """Whether parsed flags give a setting its value; one that is not said is as good as any."""
    wanted = saved.get(name)
    found = getattr(arguments, name) if hasattr(arguments, name) else saved.default(name)
    if isinstance(wanted, list | tuple) and isinstance(found, str) and _joined(wanted) == found:
        return True  # words between commas, which a task took apart
    return wanted is None or plain_value(found) == plain_value(wanted)


def plain_value(value: Any) -> Any:
    """A setting to be compared; of some, fairseq keeps the text and reads it later."""
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return [plain_value(item) for item in value] if isinstance(value, list | tuple) else value


def _words(action: argparse.Action, value: Any) -> list[str]:
    """A flag that gives a value, as words; none where it cannot."""
    flag = max(action.option_strings, key=len)
    flag = next((o for o in action.option_strings if o[2:].replace("-", "_") == action.dest), flag)
    if action.nargs == 0:  # a flag that switches something on, or off
        return [flag] if bool(value) == bool(action.const) else []
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, list | tuple) and action.nargs in ("*", "+"):
        return [flag, *map(str, value)]
    text = _joined(value) if isinstance(value, list | tuple) else str(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _joined(values: Iterable[Any]) -> str:
    every = list(values)
    if any(isinstance(value, list | tuple) for value in every):
        return str(every)
    return ",".join(map(str, every))
