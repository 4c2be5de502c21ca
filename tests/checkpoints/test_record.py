"""What a checkpoint says of its pruning survives the way into a file and back."""

import io

import torch

from fairseq_prune.checkpoints.record import Record, read_record
from fairseq_prune.masks.state import Masks
from fairseq_prune.pruning.notes import Notes
from fairseq_prune.pruning.recipe import Recipe

RECORD = Record(
    recipe=Recipe(scheme="class-blind", sparsity=0.6, schedule="gradual", end=9),
    masks=Masks({"a": torch.tensor([[True, False], [True, True]])}, {"a": (0, 1)}),
    acted=7,
    classes={"a": "softmax"},
    extremes={"a": (0.5, None)},
    notes=Notes(lambda_=1.5, before={"softmax": 1}, more={"later": [1, "x"]}),
    parameters=[("bias", 2), ("a", 4)],
    command="fairseq-train DATA 'a b'",
    version="9.9",
)


def test_a_record_comes_back_from_a_file_as_it_went_in():
    file = io.BytesIO()
    torch.save({"task_state": {"prune": RECORD.pack()}}, file)
    file.seek(0)
    back = read_record(torch.load(file, weights_only=True), "file")
    assert back is not None and back.masks is not None
    assert torch.equal(back.masks["a"], RECORD.masks["a"])
    for key in ("acted", "classes", "extremes", "notes", "parameters", "command", "version"):
        assert getattr(back, key) == getattr(RECORD, key), key


def test_the_recipe_that_comes_back_has_the_settings_and_the_signature():
    back = read_record({"task_state": {"prune": RECORD.pack()}}, "file")
    assert back.recipe.settings == RECORD.recipe.settings
    assert back.recipe.signature() == RECORD.recipe.signature()


def test_a_recipe_that_came_back_packs_to_the_same(tmp_path):
    once = RECORD.pack()
    twice = read_record({"task_state": {"prune": once}}, "file").pack()
    masks = once.pop("masks"), twice.pop("masks")
    assert once == twice
    assert masks[0]["digest"] == masks[1]["digest"]


def test_no_record_is_none():
    assert read_record({"task_state": {}}, "file") is None
    assert read_record({}, "file") is None


def test_a_record_without_masks_is_of_a_run_that_has_not_pruned_yet():
    pack = Record(recipe=Recipe(scheme="erk"), masks=None, acted=None, classes={}).pack()
    assert read_record({"task_state": {"prune": pack}}, "file").masks is None
