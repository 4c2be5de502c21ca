"""A checkpoint with a smaller vocabulary: rows of its tables taken out, masks included."""

import copy
import re
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fairseq_prune import __version__
from fairseq_prune.masks.state import Masks
from fairseq_prune.masks.storage import PRUNE_KEY, CheckpointError
from fairseq_prune.network.options import model_options, task_name
from fairseq_prune.network.ties import parameter_count
from fairseq_prune.pruning.dictionary import SPECIALS
from fairseq_prune.pruning.opened import Opened, with_states
from fairseq_prune.pruning.record import Record, this_command
from fairseq_prune.pruning.steps import Step, starting_at, with_step
from fairseq_prune.pruning.tickets import TICKET
from fairseq_prune.pruning.unseen import NOTES
from fairseq_prune.pruning.zeros import Tick

SOURCE, TARGET = "source", "target"
VOCABULARY = "vocabulary"  # in a record's notes: by side, the rows before and after
TASKS = ("translation", "pruned_translation")
_ENCODER = "encoder.embed_tokens.weight"
_TABLES = {
    SOURCE: re.compile(r"encoder\.embed_tokens\.weight"),
    TARGET: re.compile(
        r"decoder\.(embed_tokens\.weight|embed_out|(output_projection|fc_out)\.(weight|bias))"
    ),
}
_ADAPTIVE = re.compile(r"decoder\.adaptive_softmax\.|embed_tokens\.embeddings\.")
_KNOWN = re.compile(r"encoder\.(lstm\.weight_ih_l0|layers\.0\.self_attn\..+)")
# of what the scheme noted, that which counts rows or weights that are gone now
_STALE = ("before", *NOTES, TICKET)


@dataclass(frozen=True)
class Tables:
    """The tensors of a model that have a row for each token.

    Args:
        sides: SOURCE or TARGET by tensor name.
        rows: how many tokens each side has.
        shared: whether both sides have one table, so that they need one dictionary.
    """

    sides: Mapping[str, str]
    rows: Mapping[str, int]
    shared: bool

    def first(self, side: str) -> str:
        """The name of a side's first table."""
        return next(name for name, its in self.sides.items() if its == side)


def find_tables(opened: Opened) -> Tables:
    """The tables of a checkpoint's model.

    Raises CheckpointError where it is no LSTM or Transformer for translation, or splits its
    vocabulary by frequency.
    """
    path, model = opened.path, opened.content["model"]
    names = [name for name, value in model.items() if isinstance(value, Tensor)]
    task = task_name(opened.content)
    if task not in TASKS:
        raise CheckpointError(
            f"{path} was trained for the task {task}; give a checkpoint of the task translation."
        )
    adaptive = next((name for name in names if _ADAPTIVE.search(name)), None)
    if adaptive:
        raise CheckpointError(
            f"{path} has an adaptive softmax or input ({adaptive}), which sorts its tokens into "
            "bands by frequency: its vocabulary cannot be cut."
        )
    sides = {n: s for n in names for s, rule in _TABLES.items() if rule.fullmatch(n)}
    if set(sides.values()) != set(_TABLES) or not any(map(_KNOWN.fullmatch, names)):
        raise CheckpointError(
            f"{path} holds no LSTM or Transformer with an encoder and a decoder, whose tables are "
            "known: give one that does."
        )
    rows = {sides[name]: len(model[name]) for name in names if name in sides}
    odd = next((name for name in sides if len(model[name]) != rows[sides[name]]), None)
    if odd:
        raise CheckpointError(f"{path} is damaged: {odd} has {len(model[odd])} rows.")
    tied = any(model[name] is model[_ENCODER] for name, side in sides.items() if side == TARGET)
    shared = tied or bool(model_options(opened.content).get("share_all_embeddings"))
    return Tables(sides, rows, shared)


def cut(
    opened: Opened, tables: Tables, kept: Mapping[str, Tensor], data: str | None, tick: Tick
) -> dict[str, Any]:
    """The checkpoint with the rows of the kept tokens only.

    They are the same bits, in the model and its averages (EMA), and tied tensors are one. Masks
    are cut likewise. The optimizer's state is left out: it numbers weights that are gone.

    Args:
        kept: by side, the numbers of the tokens that stay, rising, the special ones among them.
        data: the folder with the new dictionaries, for the configuration; None to leave it.
        tick: called with each table's size when it is done.
    """
    specials = list(range(len(SPECIALS)))
    assert all(rows[: len(SPECIALS)].tolist() == specials for rows in kept.values())
    assert not tables.shared or torch.equal(kept[SOURCE], kept[TARGET])
    model = opened.content["model"]

    def changed(state: Mapping[str, Any]) -> Any:
        return _cut_state(state, tables, kept, tick if state is model else lambda _: None)

    content = with_states(opened.content, changed)
    if opened.record is not None:
        record = _cut_record(opened.record, tables, kept)
        content["task_state"] = {**content["task_state"], PRUNE_KEY: record.pack()}
    facts = {
        "rows": {side: [tables.rows[side], len(rows)] for side, rows in kept.items()},
        "parameters": [parameter_count(whole["model"]) for whole in (opened.content, content)],
    }
    step = starting_at(opened.path, Step(kind=VOCABULARY, facts=facts))
    content = with_step(content, opened.content, step, opened.path)
    return content if data is None else _with_data(content, data)


def _cut_state(
    state: Mapping[str, Any], tables: Tables, kept: Mapping[str, Tensor], tick: Tick
) -> Any:
    result: Any = copy.copy(state)  # keeps an OrderedDict's _metadata too
    made: dict[Any, Tensor] = {}
    for name, value in state.items():
        side = tables.sides.get(name)
        if side is None or not isinstance(value, Tensor):
            continue
        key = (value.data_ptr(), tuple(value.shape), value.dtype)
        if key not in made:
            made[key] = value.detach().index_select(0, kept[side])
            tick(value.numel())
        result[name] = made[key]
    return result


def _cut_record(record: Record, tables: Tables, kept: Mapping[str, Tensor]) -> Record:
    """The record of what is left; :func:`audit` reads in its notes that counts no longer hold."""
    masks = None if record.masks is None else cut_masks(record.masks, tables, kept)
    notes = dict(record.notes)
    if any(len(rows) < tables.rows[side] for side, rows in kept.items()):
        notes = {key: value for key, value in notes.items() if key not in _STALE}
        notes[VOCABULARY] = {side: [tables.rows[side], len(rows)] for side, rows in kept.items()}
    return replace(
        record, masks=masks, notes=notes, parameters=(), penalty=None, command=this_command(),
        version=__version__,
    )  # fmt: skip


def cut_masks(masks: Masks, tables: Tables, kept: Mapping[str, Tensor]) -> Masks:
    """The masks of the kept rows. The pad row stays row 1, so that the fixed ranges stay too."""
    sides = tables.sides
    rows = {name: kept[sides[name]] for name in masks if name in sides}
    return Masks({n: m[rows[n]] if n in rows else m for n, m in masks.items()}, masks.fixed)


def _with_data(content: dict[str, Any], data: str) -> dict[str, Any]:
    """The checkpoint with this folder as that of its data: the old dictionaries fit no more."""
    cfg, args = content.get("cfg"), content.get("args")
    if isinstance(cfg, Mapping) and isinstance(cfg.get("task"), Mapping):
        return {**content, "cfg": {**cfg, "task": {**cfg["task"], "data": data}}}
    if isinstance(args, Namespace):
        return {**content, "args": Namespace(**{**vars(args), "data": data})}
    return content
