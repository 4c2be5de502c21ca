"""The settings of a checkpoint, as every version of fairseq stores them."""

from argparse import Namespace
from typing import Any

import pytest

from fairseq_prune.network.options import (
    Options,
    architecture,
    changed,
    model_options,
    task_name,
    task_options,
)

FLAT = {"_name": "transformer_tiny", "encoder_ffn_embed_dim": 64, "dropout": 0.1}
NESTED = {
    "_name": "transformer_tiny",
    "dropout": 0.1,
    "encoder": {"ffn_embed_dim": 64},
    "encoder_ffn_embed_dim": None,
}
TASK = {"_name": "translation", "source_lang": "de"}
OLD = Namespace(
    arch="transformer_tiny", task="translation", source_lang="de", dropout=0.1,
    encoder_ffn_embed_dim=64,
)  # fmt: skip


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"args": OLD},
        {"args": None, "cfg": {"model": FLAT, "task": TASK}},
        {"args": None, "cfg": {"model": Namespace(**FLAT), "task": Namespace(**TASK)}},
        {"args": None, "cfg": {"model": NESTED, "task": TASK}},
    ],
    ids=["args", "flat", "namespace", "nested"],
)
def test_every_form_says_the_same(checkpoint: dict[str, Any]) -> None:
    options = model_options(checkpoint)
    assert options.get("encoder_ffn_embed_dim") == 64
    assert options.get("dropout") == 0.1
    assert options.get("decoder_layers") is None
    assert options.get("decoder_layers", 6) == 6
    assert architecture(checkpoint) == "transformer_tiny"
    assert task_name(checkpoint) == "translation"
    assert task_options(checkpoint).get("source_lang") == "de"


@pytest.mark.parametrize(
    "checkpoint", [{}, {"args": None, "cfg": None}, {"cfg": {"model": "odd", "task": 3}}]
)
def test_what_says_nothing_is_empty(checkpoint: dict[str, Any]) -> None:
    assert model_options(checkpoint).values == task_options(checkpoint).values == {}
    assert (architecture(checkpoint), task_name(checkpoint)) == (None, None)


@pytest.mark.parametrize("settings", [FLAT, Namespace(**FLAT), NESTED])
def test_what_was_changed_is_read_again(settings: Any) -> None:
    values = {"encoder_ffn_embed_dim": 16, "encoder_heads": "2,2", "encoder_embed_path": None}
    found = changed(settings, values)
    options = model_options({"args": None, "cfg": {"model": found}})
    assert {name: options.get(name) for name in values} == values
    assert options.get("dropout") == 0.1
    assert model_options({"cfg": {"model": settings}}).get("encoder_ffn_embed_dim") == 64


@pytest.mark.parametrize("value", [0, -4, "4", 4.0, True, [4]])
def test_a_number_that_is_none_is_refused(value: Any) -> None:
    assert Options({"heads": 4}).number("heads") == 4
    assert Options({"heads": None}).number("heads", 8) == 8
    assert Options({}).number("heads") is None
    with pytest.raises(ValueError, match="settings have heads .*, which is no whole number above"):
        Options({"heads": value}).number("heads", 8)


def test_our_own_settings_stay_flat_where_fairseq_would_refuse_them() -> None:
    found = changed(NESTED, {"encoder_ffn_embed_dim": 16, "encoder_ffn_widths": "3,4"})
    assert found["encoder"] == {"ffn_embed_dim": 16}
    assert found["encoder_ffn_widths"] == "3,4"
    assert found["encoder_ffn_embed_dim"] is None  # fairseq reads the nested one
    assert Options(found).nests("encoder") and not Options(found).nests("decoder")
