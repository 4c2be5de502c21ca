"""fairseq-prune export: formats, sizes, and what is refused."""

import pytest
import torch

from fairseq_prune.checkpoints import storage
from fairseq_prune.cli import _output
from fairseq_prune.cli.export import WRITERS
from tests.cli.models import FC, NAMES, checkpoint, read, write
from tests.conftest import differences


@pytest.fixture
def export(call, tmp_path):
    """Exports, which has to succeed; gives the path of the output and what was printed."""

    def run(path, kind, *flags, name="out"):
        output = tmp_path / f"{name}.{kind}"
        code, out, err = call("export", path, "--format", kind, "--output", output, *flags)
        assert (code, err) == (0, "")
        return output, out

    return run


def test_a_checkpoint_is_plain_and_has_no_masks(pruned, export):
    output, out = export(pruned, "checkpoint")
    left = read(output)
    assert storage.prune_state(left) is None and "last_optimizer_state" not in left
    assert left["pruned"]["sparsity"] == 0.5
    assert all(torch.equal(left["model"][n], read(pruned)["model"][n]) for n in NAMES)
    assert out.startswith(f"{output}: ") and out.count("\n") == 1


@pytest.mark.parametrize("flags", [(), ("--half",)])
def test_a_compact_file_gives_the_stripped_checkpoint_back(flags, pruned, export):
    direct, _ = export(pruned, "checkpoint", *flags)
    small, _ = export(pruned, "compact", *flags)
    back, _ = export(small, "checkpoint", name="back")
    assert differences(read(direct), read(back)) == []
    model = read(back)["model"]
    assert len({t.data_ptr() for t in model.values()}) == len(model) - 2


def test_other_commands_say_what_a_compact_file_needs(pruned, export, call):
    small, _ = export(pruned, "compact")
    code, out, err = call("inspect", small)
    assert (code, out) == (2, "") and err == (
        f"fairseq-prune: {small} is no checkpoint; if it is a compact file, make one of it first: "
        f"fairseq-prune export {small} --format checkpoint --output OUT.\n"
    )


def test_a_compact_file_can_be_halved_later(pruned, export):
    direct, _ = export(pruned, "checkpoint", "--half")
    small, _ = export(pruned, "compact")
    half, _ = export(small, "compact", "--half", name="half")
    back, _ = export(half, "checkpoint", name="back")
    assert differences(read(direct), read(back)) == []


def test_an_export_is_pruned_and_inspected_as_any_checkpoint(dense, export, call, tmp_path):
    output, _ = export(dense, "checkpoint")
    flags = ("--prune-scheme", "erk", "--prune-sparsity", "0.5")
    assert call("apply", output, "--output", tmp_path / "again.pt", *flags)[0] == 0
    assert call("inspect", output)[0] == 0


@pytest.mark.parametrize("kind", WRITERS)
def test_json_says_what_was_written(kind, pruned, ask, tmp_path):
    output = tmp_path / "out"
    found = ask("export", pruned, "--format", kind, "--output", output)
    assert found["bytes"] == output.stat().st_size
    assert (found["format"], found["half"], found["note"]["sparsity"]) == (kind, False, 0.5)
    tensors = {t.data_ptr(): t for t in read(pruned)["model"].values() if t.shape != (24, 8)}
    assert found["tensor_bytes"] == sum(t.numel() * t.element_size() for t in tensors.values())


@pytest.mark.parametrize("kind", WRITERS)
def test_an_output_that_exists_needs_force(kind, dense, export, call, tmp_path):
    output, _ = export(dense, kind)
    code, _, err = call("export", dense, "--format", kind, "--output", output)
    sentence = f"fairseq-prune: --output {output} exists; give --force to replace it.\n"
    assert (code, err) == (2, sentence)
    export(dense, kind, "--force")


def test_an_export_over_the_checkpoint_itself_says_what_it_was(pruned, call):
    before = _output.size_of(pruned)
    code, out, _ = call("export", pruned, "--format", "compact", "--output", pruned, "--force")
    assert code == 0 and out.endswith(f", from {pruned}, {before}\n")


@pytest.mark.parametrize("kind", WRITERS)
def test_values_beyond_float16_are_refused(kind, call, tmp_path):
    content = checkpoint()
    content["model"][FC][0, 0] = 1e6
    path, output = write(tmp_path / "large.pt", content), tmp_path / "out"
    code, _, err = call("export", path, "--format", kind, "--output", output, "--half")
    assert code == 2 and not output.exists()
    assert err == (
        f"fairseq-prune: {path} cannot be stored in float16: {FC} has values beyond 65504.\n"
    )


def test_settings_that_are_not_stored_are_refused(call, tmp_path):
    content = {**checkpoint(), "cfg": {"model": {"odd": b"bytes"}}}
    path, output = write(tmp_path / "odd.pt", content), tmp_path / "out"
    code, _, err = call("export", path, "--format", "compact", "--output", output)
    assert code == 2 and err.startswith("fairseq-prune: cfg.model.odd is of the type builtins.byte")
    assert not output.exists()


@pytest.mark.parametrize("content", [b"", b"noise", b"12345678{", b"\x02" + bytes(7) + b"{}"])
def test_a_file_of_neither_kind_is_refused(content, call, tmp_path):
    (tmp_path / "bad").write_bytes(content)
    code, out, err = call("export", tmp_path / "bad", "--format", "compact", "--output", "x")
    assert (code, out) == (2, "") and err.count("\n") == 1


def test_a_disk_that_is_full_leaves_nothing(dense, call, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for kind in WRITERS:
        code, _, err = call("export", dense, "--format", kind, "--output", tmp_path / "out")
        assert code == 2 and err.endswith("no space is left on the disk.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["dense.pt"]
