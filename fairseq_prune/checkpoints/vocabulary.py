"""A checkpoint with a smaller vocabulary: rows of its tables taken out, masks included."""

import copy
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fairseq_prune import __version__
from fairseq_prune.checkpoints.checkpoint import Opened, with_states
from fairseq_prune.checkpoints.languages import Vocabularies, vocabularies_of
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.steps import VOCABULARY, Step, starting_at, with_step
from fairseq_prune.checkpoints.storage import PRUNE_KEY, CheckpointError
from fairseq_prune.checkpoints.zeroed_copy import Tick
from fairseq_prune.data.dictionary import SPECIALS
from fairseq_prune.files.text import this_command
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.options import changed, model_options
from fairseq_prune.network.ties import owners_of, parameter_count
from fairseq_prune.pruning.unseen import without_unseen

_TABLE = re.compile(
    r"(models\.(?P<pair>[^.]+)\.)?((?P<encoder>encoder)\.embed_tokens\.weight|decoder\."
    r"(embed_tokens\.weight|embed_out|(output_projection|fc_out)\.(weight|bias)))"
)
_ADAPTIVE = re.compile(r"decoder\.adaptive_softmax\.|embed_tokens\.embeddings\.")
_CHARACTERS = re.compile(r"embed_tokens\.(char_embeddings|convolutions)\.")
_KNOWN = re.compile(
    r"(models\.[^.]+\.)?(encoder\.(lstm\.weight_ih_l0|layers\.0\.self_attn\..+)"
    r"|decoder\.layers\.0\.(self_attn\..+|weight_ih))"
)


@dataclass(frozen=True)
class Tables:
    """The tensors of a model that have a row for each token.

    Args:
        sides: by tensor name, the key of its dictionary, see
            :mod:`fairseq_prune.checkpoints.languages`.
        rows: how many tokens each dictionary has.
        groups: keys whose dictionaries have to stay the same.
    """

    sides: Mapping[str, str]
    rows: Mapping[str, int]
    groups: tuple[tuple[str, ...], ...] = ()

    @property
    def shared(self) -> bool:
        """Whether several keys have one dictionary."""
        return bool(self.groups)

    def first(self, key: str) -> str:
        """The name of the first table of a key."""
        group = next((group for group in self.groups if key in group), (key,))
        return next(name for name, its in self.sides.items() if its in group)


def find_tables(opened: Opened, vocabularies: Vocabularies | None = None) -> Tables:
    """The tables of a checkpoint's model.

    Raises CheckpointError where it is no LSTM or Transformer whose tables are known, or splits its
    vocabulary by frequency.
    """
    its = vocabularies_of(opened) if vocabularies is None else vocabularies
    path, model = opened.path, opened.content["model"]
    names = [name for name, value in model.items() if isinstance(value, Tensor)]
    _check_plain(path, names)
    found = {name: match for name in names if (match := _TABLE.fullmatch(name))}
    parts = {match["encoder"] or "decoder" for match in found.values()}
    wanted = {"decoder"} if its.task == "language_modeling" else {"encoder", "decoder"}
    if parts != wanted or not any(map(_KNOWN.fullmatch, names)):
        having = "an encoder and a decoder" if len(wanted) > 1 else "a decoder"
        raise CheckpointError(
            f"{path} holds no LSTM or Transformer with {having}, whose tables are known: give one "
            "that does."
        )
    sides = {name: its.key_of(m["encoder"] or "decoder", m["pair"]) for name, m in found.items()}
    rows = {sides[name]: len(model[name]) for name in sides}
    odd = next((name for name in sides if len(model[name]) != rows[sides[name]]), None)
    if odd:
        raise CheckpointError(f"{path} is damaged: {odd} has {len(model[odd])} rows.")
    groups = _groups(opened, its, {name: model[name] for name in sides}, sides)
    for group in groups:
        size = next(rows[key] for key in group if key in rows)
        rows |= {key: rows.get(key, size) for key in group}
    return Tables(sides, rows, groups)


def _check_plain(path: str, names: Sequence[str]) -> None:
    adaptive = next((name for name in names if _ADAPTIVE.search(name)), None)
    if adaptive:
        raise CheckpointError(
            f"{path} has an adaptive softmax or input ({adaptive}), which sorts its tokens into "
            "bands by frequency: its vocabulary cannot be cut."
        )
    letters = next((name for name in names if _CHARACTERS.search(name)), None)
    if letters:
        raise CheckpointError(
            f"{path} makes its input of the characters of tokens ({letters}), so that it has no "
            "row for each: its vocabulary cannot be cut."
        )


def _groups(
    opened: Opened, its: Vocabularies, tables: Mapping[str, Tensor], sides: Mapping[str, str]
) -> tuple[tuple[str, ...], ...]:
    """The keys that have one dictionary: by the task, by tied tables, or by their settings."""
    owners = owners_of(tables)
    together = [*its.alike, *((sides[name], sides[first]) for name, first in owners.items())]
    if model_options(opened.content).get("share_all_embeddings"):
        together.append(tuple(its.languages))
    groups: list[list[str]] = [[key] for key in its.languages]
    for keys in together:
        meeting = [group for group in groups if set(group) & set(keys)]
        groups = [group for group in groups if group not in meeting]
        groups.append([key for key in its.languages if any(key in group for group in meeting)])
    return tuple(tuple(group) for group in groups if len(group) > 1)


def cut(
    opened: Opened, tables: Tables, kept: Mapping[str, Tensor], data: str | None, tick: Tick,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The checkpoint with the rows of the kept tokens only.

    They are the same bits, in the model and its averages (EMA), and tied tensors are one. Masks
    are cut likewise. The optimizer's state is left out: it numbers weights that are gone.

    Args:
        kept: by key, the numbers of the tokens that stay, rising, the special ones among them.
        data: the folder with the new dictionaries, for the configuration; None to leave it.
        tick: called with each table's size when it is done.
        settings: of the task, what they are from now on.
    """
    specials = list(range(len(SPECIALS)))
    assert all(rows[: len(SPECIALS)].tolist() == specials for rows in kept.values())
    assert all(torch.equal(kept[group[0]], kept[key]) for group in tables.groups for key in group)
    model = opened.content["model"]

    def shorter(state: Mapping[str, Any]) -> Any:
        return _cut_state(state, tables, kept, tick if state is model else lambda _: None)

    content = with_states(opened.content, shorter)
    if opened.record is not None:
        record = _cut_record(opened.record, tables, kept)
        content["task_state"] = {**content["task_state"], PRUNE_KEY: record.pack()}
    facts = {
        "rows": {side: [tables.rows[side], len(rows)] for side, rows in kept.items()},
        "parameters": [parameter_count(whole["model"]) for whole in (opened.content, content)],
    }
    step = starting_at(opened.path, Step(kind=VOCABULARY, facts=facts))
    content = with_step(content, opened.content, step, opened.path)
    values = dict(settings or {}) | ({} if data is None else {"data": data})
    return _with_task(content, values) if values else content


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
    notes = record.notes
    if any(len(rows) < tables.rows[side] for side, rows in kept.items()):
        rows_of = {side: [tables.rows[side], len(rows)] for side, rows in kept.items()}
        # what counts rows or weights that are gone now is left out
        notes = replace(without_unseen(notes), before={}, ticket=None, vocabulary=rows_of)
    return replace(
        record, masks=masks, notes=notes, parameters=(), penalty=None, command=this_command(),
        version=__version__,
    )  # fmt: skip


def cut_masks(masks: Masks, tables: Tables, kept: Mapping[str, Tensor]) -> Masks:
    """The masks of the kept rows. The pad row stays row 1, so that the fixed ranges stay too."""
    sides = tables.sides
    rows = {name: kept[sides[name]] for name in masks if name in sides}
    cut = {n: m[rows[n]] if n in rows else m for n, m in masks.items()}
    return Masks(cut, masks.fixed, masks.out)


def _with_task(content: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint with these settings of its task: the old dictionaries fit no more.

    fairseq keeps them again among those of the model, where its settings are one namespace.
    """
    cfg, args = content.get("cfg"), content.get("args")
    if isinstance(cfg, Mapping) and cfg.get("task") is not None:
        model = cfg.get("model")
        known = vars(model) if isinstance(model, Namespace) else {}
        mine = {name: value for name, value in values.items() if name in known}
        new = {"task": changed(cfg["task"], values)}
        new |= {"model": changed(model, mine)} if mine else {}
        return {**content, "cfg": {**cfg, **new}}
    if isinstance(args, Namespace):
        return {**content, "args": changed(args, values)}
    return content
