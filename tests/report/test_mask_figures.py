"""Shares of survivors by cell and by row."""

import numpy as np
import torch

from fairseq_prune.masks.state import Masks
from fairseq_prune.report.mask_figures import pool, pooled_by_class, rows_by_class, short, sides


def test_a_small_matrix_is_shown_as_it_is() -> None:
    kept = np.array([[True, False], [False, True]])
    assert pool(kept, 8, 8).tolist() == [[1, 0], [0, 1]]


def test_cells_hold_the_share_that_survives_in_them() -> None:
    kept = np.zeros((5, 6), bool)
    kept[:2, :3] = True
    kept[4, 5] = True
    shares = pool(kept, 2, 2)
    assert np.allclose(shares, [[1, 0], [0, 1 / 9]])


def test_ragged_cells_keep_the_number_of_survivors() -> None:
    kept = np.random.default_rng(1).random((37, 53)) < 0.3
    heights = np.diff(np.linspace(0, 37, 8 + 1).astype(int))
    widths = np.diff(np.linspace(0, 53, 9 + 1).astype(int))
    found = (pool(kept, 8, 9) * heights[:, None] * widths).sum()
    assert round(float(found), 3) == kept.sum()


def test_rows_count_as_dead_when_all_inputs_are_gone_and_pads_not_at_all() -> None:
    kept = torch.tensor([[0, 0], [1, 1], [1, 0], [1, 1]], dtype=torch.bool)
    masks = Masks({"a": kept, "b": kept.clone()}, {"a": (2, 4)})
    both, alone = rows_by_class(masks, {"a": "one", "b": "two"})
    assert (both.label, both.removed.tolist(), both.dead) == ("one", [1, 0.5, 0], 1)
    assert alone.removed.tolist() == [1, 0, 0.5, 0]


def test_matrices_of_a_class_stand_side_by_side_and_lstm_rows_are_gates() -> None:
    ones = torch.ones(8, 2, dtype=torch.bool)
    names = ("encoder.lstm.weight_ih_l0", "encoder.lstm.weight_hh_l0_reverse", "fc.weight")
    parts = pooled_by_class(Masks({name: ones for name in names}), {n: "c" for n in names[:2]})
    assert [(p.name, p.gates) for p in parts["c"]] == [("ih", True), ("hh back", True)]
    assert not parts["fc.weight"][0].gates


def test_names_are_short_and_the_encoder_comes_first() -> None:
    assert short("encoder.layers.0.self_attn.q_proj.weight") == "q"
    labels = ["target-layer-1", "shared-embedding", "source-layer-1", "softmax"]
    assert sides(labels) == ["source-layer-1", "shared-embedding", "target-layer-1", "softmax"]
