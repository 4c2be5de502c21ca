"""Which tokens stay, their new numbers, and a checkpoint's tables and masks without the rest."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.checkpoints.apply import apply_recipe
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.languages import SOURCE, TARGET
from fairseq_prune.checkpoints.storage import load, masks_of
from fairseq_prune.checkpoints.vocabulary import cut, cut_masks, find_tables
from fairseq_prune.data.dictionary import (
    SPECIALS,
    UNK,
    Dictionary,
    choose,
    count_text,
    read_dictionary,
    renumbering,
)
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.opening import open_checkpoint
from tests.conftest import audit_of

ENCODER, DECODER = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
SOFTMAX, BIAS = "decoder.fc_out.weight", "decoder.fc_out.bias"
LAYER = "encoder.lstm.weight_ih_l0"
KEPT = {SOURCE: torch.tensor([0, 1, 2, 3, 5, 9]), TARGET: torch.tensor([0, 1, 2, 3, 4, 6, 7])}
SAME = {SOURCE: KEPT[SOURCE], TARGET: KEPT[SOURCE]}
ALL = {SOURCE: torch.arange(10), TARGET: torch.arange(12)}


def model(kind: str = "separate") -> dict[str, Any]:
    """An LSTM's tables and one layer; `kind`: separate, shared (all tables one) or apart."""
    draw = torch.Generator().manual_seed(1)
    rows = 12 if kind == "separate" else 10
    state = {ENCODER: torch.randn(10, 4, generator=draw)}
    state[LAYER] = torch.randn(12, 4, generator=draw)
    if kind == "separate":
        state[DECODER] = torch.randn(rows, 4, generator=draw)
        state[SOFTMAX] = torch.randn(rows, 6, generator=draw)
        state[BIAS] = torch.randn(rows, generator=draw)
    else:
        state[DECODER] = state[ENCODER].clone() if kind == "apart" else state[ENCODER]
    return state


def checkpoint(state: dict[str, Any]) -> dict[str, Any]:
    task = {"_name": "translation", "data": "old"}
    one = ENCODER in state and torch.equal(state[ENCODER], state[DECODER])
    return {
        "cfg": {"task": task, "model": Namespace(share_all_embeddings=one)},
        "model": state,
        "extra_state": {"epoch": 2, "ema": {name: value + 1 for name, value in state.items()}},
        "last_optimizer_state": {"state": {}},
        "task_state": {},
    }


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return opened_of(tmp_path, model())


def opened_of(folder: Path, state: dict[str, Any], **more: Any) -> Opened:
    torch.save({**checkpoint(state), **more}, folder / "model.pt")
    return open_checkpoint(str(folder / "model.pt"))


def shorter(opened: Opened, kept: dict[str, torch.Tensor]) -> dict[str, Any]:
    return cut(opened, find_tables(opened), kept, "new", lambda _: None)


def dictionary(*tokens: str) -> Dictionary:
    return Dictionary("dict.txt", tuple(f"{t} 1" for t in tokens), (*SPECIALS, *tokens))


@given(st.integers(0, 60).flatmap(lambda n: st.lists(st.booleans(), min_size=n, max_size=n)))
def test_new_numbers_keep_the_order_and_all_else_is_unk(stays: list[bool]) -> None:
    kept = torch.tensor([True] * len(SPECIALS) + stays).nonzero().flatten()
    table = renumbering(len(SPECIALS) + len(stays), kept)
    assert table[kept].tolist() == list(range(len(kept)))
    gone = torch.ones(len(table), dtype=torch.bool).index_fill_(0, kept, False)
    assert (table[gone] == UNK).all()


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=40).filter(lambda c: max(c) >= 2),
    st.integers(1, 2),
)
def test_a_token_stays_where_it_is_used_often_enough(used: list[int], least: int) -> None:
    its = dictionary(*(f"w{i}" for i in range(len(used))))
    counts = np.array([0, 0, 0, 7, *used])
    (choice,) = choose({SOURCE: its}, {SOURCE: counts}, least).values()
    stays = [f"w{i}" for i, count in enumerate(used) if count >= least]
    assert choice.dictionary.text(choice.kept) == "".join(f"{token} 1\n" for token in stays)
    assert choice.removed == len(used) - len(stays)
    assert (choice.used, choice.lost) == (7 + sum(used), sum(c for c in used if c < least))


def test_one_table_keeps_what_both_sides_use_together() -> None:
    both = {SOURCE: dictionary("a", "b", "c"), TARGET: dictionary("a", "b", "c")}
    counts = {SOURCE: np.array([0, 0, 0, 0, 1, 2, 0]), TARGET: np.array([0, 0, 0, 0, 1, 0, 1])}
    together = choose(both, counts, 2, [(SOURCE, TARGET)])
    assert [c.kept.tolist() for c in together.values()] == [[0, 1, 2, 3, 4, 5]] * 2
    assert [c.lost for c in together.values()] == [0, 1]
    apart = choose(both, counts, 1)
    assert [c.kept.tolist()[4:] for c in apart.values()] == [[4, 5], [4, 6]]


def test_tags_and_bytes_stay_and_filling_goes() -> None:
    tokens = ("a", "__de__", "[de_DE]", "<mask>", "<0x0A>", "[sic!]", "madeupword0000")
    counts = {SOURCE: np.array([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])}
    (choice,) = choose({SOURCE: dictionary(*tokens)}, counts, 1).values()
    assert choice.kept.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_a_count_that_no_token_has_is_refused_with_the_largest() -> None:
    with pytest.raises(ValueError, match="^--min-count 9 leaves no token of dict.txt: the most fr"):
        choose({SOURCE: dictionary("a")}, {SOURCE: np.array([0, 0, 0, 0, 8])}, 9)


def test_lines_of_a_dictionary_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "dict.de.txt"
    path.write_text("a 3\n\u00a0 2\na 1 #fairseq:overwrite\n", encoding="utf-8")
    found = read_dictionary(path)
    assert found.tokens == (*SPECIALS, "a", "\u00a0", "a")
    assert found.text(torch.tensor([0, 1, 2, 3, 6])) == "a 1 #fairseq:overwrite\n"
    assert found.text(torch.arange(7)) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a 1\nb\n", " line 2: 'b' is not `TOKEN COUNT`; "),
        (b"a 1\n\n", " line 2: '' is not `TOKEN COUNT`; "),
        (b"\xe4 1\n", r" is not UTF-8 \(byte 0xe4\): "),
    ],
)
def test_a_file_that_is_no_dictionary_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "dict.de.txt").write_bytes(content)
    with pytest.raises(ValueError, match=f"^{tmp_path}/dict.de.txt{says}"):
        read_dictionary(tmp_path / "dict.de.txt")


def test_text_is_counted_as_fairseq_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("a b\u00a0a\u2003odd\n\n </s> b\n", encoding="utf-8")
    assert count_text(path, dictionary("a", "b")).tolist() == [0, 0, 0, 1, 2, 2]
    path.write_text("\n \n")
    with pytest.raises(ValueError, match=f"^{path} has no words: "):
        count_text(path, dictionary("a"))
    with pytest.raises(ValueError, match=f"^{path}2 cannot be read: No such file or directory.$"):
        count_text(Path(f"{path}2"), dictionary("a"))


def test_each_side_keeps_its_rows_and_all_else_its_bits(opened: Opened) -> None:
    old, new = opened.content, shorter(opened, KEPT)
    for before, after in (
        (old["model"], new["model"]),
        (old["extra_state"]["ema"], new["extra_state"]["ema"]),
    ):
        assert torch.equal(after[ENCODER], before[ENCODER][KEPT[SOURCE]])
        for name in (DECODER, SOFTMAX, BIAS):
            assert torch.equal(after[name], before[name][KEPT[TARGET]])
        assert torch.equal(after[LAYER], before[LAYER])
    assert "last_optimizer_state" not in new and new["extra_state"]["epoch"] == 2
    assert new["cfg"]["task"] == {"_name": "translation", "data": "new"}
    assert old["cfg"]["task"]["data"] == "old"


@pytest.mark.parametrize("kind", ["shared", "apart"])
def test_one_table_stays_one(kind: str, tmp_path: Path) -> None:
    opened = opened_of(tmp_path, model(kind))
    assert find_tables(opened).shared
    new = shorter(opened, SAME)["model"]
    assert new[ENCODER] is new[DECODER] and len(new[ENCODER]) == 6
    assert sum(t.numel() for t in parameters_in(new).values()) == 6 * 4 + 12 * 4


def test_removing_nothing_leaves_every_bit(opened: Opened) -> None:
    old, new = opened.content["model"], shorter(opened, ALL)["model"]
    assert list(old) == list(new)
    assert all(torch.equal(old[name], new[name]) for name in old)


def pruned(opened: Opened, **recipe: Any) -> Opened:
    """The checkpoint pruned, written over it and opened again."""
    flags = checked(Recipe(scheme="class-uniform", sparsity=0.5, **recipe))
    torch.save(apply_recipe(opened, flags).content(lambda _: None), opened.path)
    return open_checkpoint(opened.path)


@pytest.mark.parametrize("structure", [None, "row", "block:4x2", "2:4"])
def test_masks_go_with_their_rows_and_are_verified(structure: str | None, tmp_path: Path) -> None:
    recipe: dict[str, Any] = {"structure": structure}
    if structure == "2:4":
        recipe = {"structure": structure, "exclude": "softmax"}  # of 6 columns
    before = opened_of(tmp_path, model())
    flags = checked(Recipe(scheme="class-uniform", sparsity=0.5, **recipe))
    before = open_checkpoint(before.path, exclude=flags.excluded)
    before = pruned(before, **recipe)
    torch.save(shorter(before, KEPT), tmp_path / "cut.pt")
    after = masks_of(load(tmp_path / "cut.pt"), "cut.pt")
    assert before.masks is not None and after is not None
    assert torch.equal(after[ENCODER], before.masks[ENCODER][KEPT[SOURCE]])
    assert torch.equal(after[DECODER], before.masks[DECODER][KEPT[TARGET]])
    assert torch.equal(after[LAYER], before.masks[LAYER])
    assert after.fixed == {ENCODER: (4, 8), DECODER: (4, 8)}
    found = audit_of(str(tmp_path / "cut.pt"))
    assert found.ok and found.digest == after.digest() and found.checked == ["model", "EMA"]
    assert any(note.startswith("the vocabulary was cut after pruning") for note in found.notes)


def test_a_record_that_loses_nothing_is_counted_as_before(tmp_path: Path) -> None:
    before = pruned(opened_of(tmp_path, model()))
    torch.save(shorter(before, ALL), tmp_path / "cut.pt")
    found = audit_of(str(tmp_path / "cut.pt"))
    assert found.ok and not found.notes
    assert before.masks is not None and found.digest == before.masks.digest()


def test_what_the_scheme_noted_of_rows_that_are_gone_goes_too(tmp_path: Path) -> None:
    before = pruned(opened_of(tmp_path, model()))
    assert before.record is not None
    notes = Notes(before={"softmax": 3}, unseen={ENCODER: 2}, sigma={"softmax": 1.0})
    torch.save(
        shorter(replace(before, record=replace(before.record, notes=notes)), KEPT),
        tmp_path / "cut.pt",
    )
    after = open_checkpoint(str(tmp_path / "cut.pt")).record
    assert after is not None and after.notes == Notes(
        sigma={"softmax": 1.0}, vocabulary={SOURCE: [10, 6], TARGET: [12, 7]}
    )


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 2**40))
def test_a_cut_mask_is_the_mask_of_the_kept_rows(stays: list[bool], bits: int) -> None:
    flat = torch.tensor([bool(bits >> i & 1) for i in range(40)])
    mask = flat.reshape(10, 4).index_fill(0, torch.tensor([1]), True)
    kept = torch.tensor([True] * 4 + stays).nonzero().flatten()
    tables = find_tables(Opened("x", checkpoint(model("shared")), {}, None))
    after = cut_masks(Masks({ENCODER: mask}, {ENCODER: (4, 8)}), tables, {SOURCE: kept})
    assert torch.equal(after[ENCODER], mask[kept])
    assert Masks.unpack(after.pack(), "x").digest() == after.digest()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder.lstm.weight_ih_l0": None}, " holds no LSTM or Transformer "),
        ({ENCODER: None}, " holds no LSTM or Transformer "),
        ({"decoder.adaptive_softmax.head.weight": torch.ones(3, 4)}, " has an adaptive softmax "),
        ({BIAS: torch.ones(5)}, " is damaged: "),
    ],
)
def test_a_model_that_cannot_be_cut_is_refused(
    change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    state = {name: value for name, value in {**model(), **change}.items() if value is not None}
    opened = opened_of(tmp_path, state)
    with pytest.raises(ValueError, match=f"^{opened.path}{says}"):
        find_tables(opened)


def test_another_task_is_refused(tmp_path: Path) -> None:
    opened = opened_of(tmp_path, model(), cfg={"task": {"_name": "masked_lm"}})
    with pytest.raises(ValueError, match="for the task masked_lm; give a checkpoint"):
        find_tables(opened)


def test_old_checkpoints_keep_their_settings_in_one_place(tmp_path: Path) -> None:
    args = Namespace(task="translation", source_lang="de", share_all_embeddings=True, data="old")
    opened = opened_of(tmp_path, model("shared"), cfg=None, args=args)
    assert find_tables(opened).shared
    assert shorter(opened, SAME)["args"].data == "new" and args.data == "old"
