"""fairseq-prune average: the mean, and which masks go together."""

import pytest
import torch

from fairseq_prune.checkpoints.storage import prune_state
from tests.cli.conftest import BLIND_HALF
from tests.cli.models import (
    DECODER_EMBEDDING,
    EMBEDDING,
    FC,
    NAMES,
    SOFTMAX,
    checkpoint,
    masks_in,
    read,
    write,
)


@pytest.fixture
def members(pruned, tmp_path):
    """The paths of three checkpoints with the same masks, as of one run."""
    paths = []
    for number in (1, 2, 4):
        content = read(pruned)
        for name in NAMES:
            content["model"][name] *= number
        content["extra_state"]["best"] = float(number)
        content["last_optimizer_state"] = {"state": {}}
        content["extra_state"]["ema"] = dict(content["model"])
        paths.append(write(tmp_path / f"member{number}.pt", content))
    return paths


@pytest.fixture
def refused(call, tmp_path):
    """Averages these files, which has to be refused; gives the sentence."""

    def run(*paths) -> str:
        code, out, err = call("average", *paths, "--output", tmp_path / "mean.pt")
        assert (code, out) == (2, "") and not (tmp_path / "mean.pt").exists()
        return err.removeprefix("fairseq-prune: ").rstrip("\n")

    return run


def test_the_mean_is_that_of_float64(tmp_path, call):
    contents = [checkpoint(seed, dtype=torch.float16) for seed in (1, 2, 3)]
    paths = [write(tmp_path / f"{i}.pt", content) for i, content in enumerate(contents)]
    assert call("average", *paths, "--output", tmp_path / "mean.pt")[0] == 0
    mean = read(tmp_path / "mean.pt")["model"]
    for name in (*NAMES, "encoder.layers.0.self_attn.q_proj.bias"):
        parts = [content["model"][name].double() for content in contents]
        assert torch.equal(mean[name], (sum(parts) / 3).half())


def test_whole_numbers_are_of_the_first_and_the_rest_is_of_the_last(members, tmp_path, call):
    contents = [read(path) for path in members]
    contents[0]["model"]["steps"] += 7
    write(tmp_path / "member1.pt", contents[0])
    call("average", *members, "--output", tmp_path / "mean.pt")
    mean = read(tmp_path / "mean.pt")
    assert torch.equal(mean["model"]["steps"], contents[0]["model"]["steps"])
    assert mean["extra_state"]["best"] == 4.0


def test_the_state_of_the_optimizer_and_the_ema_are_left_out(members, tmp_path, call):
    call("average", *members, "--output", tmp_path / "mean.pt")
    mean = read(tmp_path / "mean.pt")
    assert "last_optimizer_state" not in mean and "ema" not in mean["extra_state"]


def test_masks_that_agree_are_kept_and_verified(members, pruned, tmp_path, call):
    code, out, err = call("average", *members, "--output", tmp_path / "mean.pt")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith(
        "the mean of 3 checkpoints, sparsity 0.5000 of 344 prunable weights"
    )
    assert masks_in(tmp_path / "mean.pt").digest() == masks_in(pruned).digest()
    assert call("verify", tmp_path / "mean.pt")[0] == 0
    mean = read(tmp_path / "mean.pt")["model"][FC].double()
    assert torch.allclose(mean, read(pruned)["model"][FC].double() * 7 / 3)


def test_a_weight_that_grew_back_in_one_member_is_zero_in_the_mean(members, tmp_path, call):
    content = read(members[0])
    content["model"][FC][~masks_in(members[0])[FC]] = 9.0
    write(tmp_path / "member1.pt", content)
    call("average", *members, "--output", tmp_path / "mean.pt")
    assert call("verify", tmp_path / "mean.pt")[0] == 0


@pytest.mark.parametrize("apart", [False, True])
def test_tied_tensors_stay_tied(apart, tmp_path, call):
    paths = [write(tmp_path / f"{s}.pt", checkpoint(s, apart=apart)) for s in (1, 2)]
    call("average", *paths, "--output", tmp_path / "mean.pt")
    state = read(tmp_path / "mean.pt")["model"]
    assert len({state[name].data_ptr() for name in (EMBEDDING, DECODER_EMBEDDING, SOFTMAX)}) == 1


def test_one_tensor_of_the_model_that_is_two_in_a_file_is_refused(tmp_path, call):
    other = checkpoint(2)
    other["model"][SOFTMAX] = other["model"][SOFTMAX] * 3
    paths = [write(tmp_path / "1.pt", checkpoint(1)), write(tmp_path / "2.pt", other)]
    code, _, err = call("average", *paths, "--output", tmp_path / "mean.pt")
    assert (code, err) == (
        2,
        f"fairseq-prune: {paths[1]} is damaged: {EMBEDDING} and {SOFTMAX} are one tensor in its "
        "model, and differ in the file.\n",
    )
    assert not (tmp_path / "mean.pt").exists()


@pytest.fixture
def sparser(pruned, tmp_path, call):
    """The pruned checkpoint, pruned further."""
    out = tmp_path / "sparser.pt"
    call("apply", pruned, "--output", out, "--prune-scheme", "class-blind")
    return str(out)


def test_the_masks_of_the_last_are_applied_where_it_is_the_sparsest(
    pruned, sparser, tmp_path, call
):
    code, out, _ = call("average", pruned, sparser, "--output", tmp_path / "mean.pt")
    assert code == 0
    assert out.splitlines()[0] == (
        f"the masks differ; those of {sparser}, which are the sparsest, are applied"
    )
    assert masks_in(tmp_path / "mean.pt").digest() == masks_in(sparser).digest()
    assert call("verify", tmp_path / "mean.pt")[0] == 0


def test_a_member_that_had_not_pruned_yet_goes_with_the_others(pruned, dense, tmp_path, call):
    content = {**read(dense), "task_state": read(pruned)["task_state"]}
    prune_state(content).update(masks=None, acted=None)
    early = write(tmp_path / "early.pt", content)
    assert call("average", early, pruned, "--output", tmp_path / "mean.pt")[0] == 0
    assert call("verify", tmp_path / "mean.pt")[0] == 0


def test_the_sparsest_first_is_refused(pruned, sparser, refused):
    assert refused(sparser, pruned).startswith(f"{sparser} has pruned weights of ")


def test_masks_of_two_runs_are_refused(pruned, tmp_path, call, refused):
    other, out = write(tmp_path / "other.pt", checkpoint(seed=9)), tmp_path / "run2.pt"
    call("apply", other, "--output", out, *BLIND_HALF)
    assert refused(pruned, out) == (
        f"{pruned} has pruned weights of {EMBEDDING} that {out} keeps: average checkpoints of one "
        "run, the latest one last."
    )


def test_dense_and_pruned_are_refused_in_either_order(pruned, dense, refused):
    sentence = (
        f"{pruned} is pruned and {dense} is not, so their mean would be neither: average pruned "
        "checkpoints with pruned ones."
    )
    assert refused(pruned, dense) == refused(dense, pruned) == sentence


def test_models_with_other_names_are_refused(dense, tmp_path, refused):
    content = checkpoint()
    del content["model"][FC]
    path = write(tmp_path / "other.pt", content)
    assert (
        refused(dense, path) == f"{dense} and {path} are different models: only the first has {FC}."
    )


def test_models_with_other_shapes_are_refused(dense, tmp_path, refused):
    content = checkpoint()
    content["model"][FC] = torch.ones(4, 8)
    path = write(tmp_path / "other.pt", content)
    assert refused(dense, path) == (
        f"{dense} and {path} are different models: {FC} is (16, 8) in the first and (4, 8) in the "
        "second."
    )


def test_an_output_that_exists_needs_force(dense, call):
    before = read(dense)
    code, _, err = call("average", dense, dense, "--output", dense)
    assert (code, err) == (
        2,
        f"fairseq-prune: --output {dense} exists; give --force to replace it.\n",
    )
    assert call("average", dense, dense, "--output", dense, "--force")[0] == 0
    assert all(torch.equal(read(dense)["model"][n], before["model"][n]) for n in before["model"])


def test_json_says_what_was_written(members, tmp_path, ask):
    found = ask("average", *members, "--output", tmp_path / "mean.pt")
    assert found["bytes"] == (tmp_path / "mean.pt").stat().st_size
    assert found["sparsity"] == 0.5 and found["checkpoints"] == members
