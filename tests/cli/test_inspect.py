"""fairseq-prune inspect: the table and the JSON."""

import torch

from tests.cli.models import (
    DECODER_EMBEDDING,
    EMBEDDING,
    FC,
    NAMES,
    PRUNABLE,
    QUERY,
    SOFTMAX,
    checkpoint,
    masks_in,
    read,
    write,
)


def test_the_table_counts_by_class(pruned, call):
    code, out, _ = call("inspect", pruned)
    masks = masks_in(pruned)
    rows = {line.split()[0]: line.split() for line in out.splitlines()}
    for label, name in zip(
        ("shared-embedding", "source-layer-1.self-attention", "target-layer-1.ffn"), NAMES,
        strict=True,
    ):  # fmt: skip
        total, gone = masks.prunable(name), masks.removed(name)
        assert code == 0
        assert rows[label][1:4] == [str(total), str(gone), str(total - gone)]
        assert rows[label][4] == f"{gone / total:.2%}"


def test_digest_recipe_command_and_version_are_shown(pruned, dense, call):
    _, out, _ = call("inspect", pruned)
    assert f"digest  {masks_in(pruned).digest()}\n" in out
    assert "recipe  class-blind|sparsity:0.5|saliency:magnitude\n" in out
    assert "made by " in out and "(fairseq_prune 0.1.0)" in out


def test_json_has_the_promised_fields(pruned, ask):
    found = ask("inspect", pruned)
    assert {"weights", "classes", "sparsity", "digest", "recipe"} <= set(found)
    assert found["sparsity"] == 0.5
    assert found["recipe"]["scheme"] == "class-blind"
    weights = {weight["name"]: weight for weight in found["weights"]}
    assert list(weights) == list(NAMES)
    assert weights[EMBEDDING]["class"] == "shared-embedding"
    assert weights[EMBEDDING]["shape"] == [20, 8]
    assert weights[EMBEDDING]["prunable"] == 152
    assert weights[EMBEDDING]["aliases"] == [EMBEDDING, DECODER_EMBEDDING, SOFTMAX]
    assert sum(weight["removed"] for weight in weights.values()) == PRUNABLE // 2


def test_the_largest_removed_is_remembered_and_the_smallest_kept_is_as_it_is_now(
    dense, pruned, tmp_path, ask
):
    before, masks = read(dense)["model"], masks_in(pruned)
    content = read(pruned)
    content["model"][FC] *= 2  # retraining moves what is kept
    found = ask("inspect", write(tmp_path / "retrained.pt", content))
    row = next(row for row in found["classes"] if row["name"] == "target-layer-1.ffn")
    assert row["largest_removed"] == before[FC][~masks[FC]].abs().max().item()
    assert row["smallest_kept"] == 2 * before[FC][masks[FC]].abs().min().item()


def test_a_dense_file_lists_its_classes(dense, ask, call):
    found = ask("inspect", dense)
    assert (found["sparsity"], found["digest"], found["recipe"]) == (0.0, None, None)
    assert [weight["removed"] for weight in found["weights"]] == [0, 0, 0]
    code, out, _ = call("inspect", dense)
    assert code == 0
    assert "not pruned: the file holds no masks\n" in out


def test_classes_can_be_regrouped(pruned, dense, ask):
    for path in (pruned, dense):
        found = ask("inspect", path, "--prune-classes", "tensor")
        assert [row["name"] for row in found["classes"]] == list(NAMES)


def test_a_file_pruned_by_other_classes_is_shown_by_those(dense, tmp_path, call, ask):
    rules = tmp_path / "rules.txt"
    rules.write_text("mine self_attn\n")
    flags = ("--prune-scheme", "class-uniform", "--prune-classes", rules)
    assert call("apply", dense, "--output", tmp_path / "out.pt", *flags)[0] == 0
    rules.unlink()
    found = ask("inspect", tmp_path / "out.pt")
    assert [w["class"] for w in found["weights"] if w["name"] == QUERY] == ["mine"]


def test_zeros_without_masks_are_mentioned(tmp_path, call, ask):
    content = checkpoint()
    content["model"][FC][:3] = 0.0
    content["model"][EMBEDDING][1] = 0.0  # the pad row does not count
    path = write(tmp_path / "other_tool.pt", content)
    assert ask("inspect", path)["zeros"] == {"target-layer-1.ffn": 24}
    _, out, _ = call("inspect", path)
    assert "weights that are exactly zero without a mask: 24 in target-layer-1.ffn\n" in out


def test_infinite_weights_still_give_json(tmp_path, ask):
    content = checkpoint()
    content["model"][QUERY] = torch.full((8, 8), float("inf"))
    ask("inspect", write(tmp_path / "inf.pt", content))


def test_a_2_of_4_file_says_which_tensors_its_kernels_take(dense, pruned, tmp_path, call, ask):
    out = tmp_path / "pattern.pt"
    flags = ("--prune-scheme", "class-uniform", "--prune-structure", "2:4")
    assert "eligible: 0 of 3" in call("apply", dense, "--dry-run", *flags)[1]
    assert call("apply", dense, "--output", out, *flags)[0] == 0
    shown = call("inspect", out)[1]
    assert f"{EMBEDDING} no: an embedding is looked up, not" in " ".join(shown.split())
    assert "eligible: 0 of 3 tensors, 0 of 172 weights kept\n" in shown
    found = ask("inspect", out)["two_of_four"]
    assert [tensor["name"] for tensor in found["tensors"]] == list(NAMES)
    assert found["tensors"][1]["reason"] == "8 x 8 is no multiple of 16 x 16 nor of 32 x 64"
    assert (found["eligible"], found["kept"]) == (0, PRUNABLE // 2)
    # nothing of it where the pattern is another
    assert "2:4" not in call("inspect", pruned)[1]
    assert ask("inspect", pruned)["two_of_four"] is None
