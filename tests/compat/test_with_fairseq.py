"""The patches on the real fairseq 0.12.2."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _fairseq_prune_compat.loading import CheckpointRefused
from _fairseq_prune_compat.safe_types import safe_types

fairseq = pytest.importorskip("fairseq")

from fairseq import checkpoint_utils, utils  # noqa: E402
from fairseq.distributed import utils as distributed_utils  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

BIN = Path(sys.executable).parent


class Touches:
    """Pickles as the command that makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def dictionaries(folder: Path) -> Path:
    for language in ("de", "en"):
        (folder / f"dict.{language}.txt").write_text("haus 3\nkatze 2\n")
    return folder


def test_a_legacy_checkpoint_with_eval_bleu_counts_loads(tmp_path: Path) -> None:
    counts = np.array([3.0, 2.0])
    state = {
        "args": argparse.Namespace(arch="lstm", task="translation", criterion="cross_entropy"),
        "model": {},
        "optimizer_history": [{"optimizer_name": "Adam", "lr_scheduler_state": {}}],
        "extra_state": {"metrics": [("valid", counts)], "train_iterator": {"epoch": 1}, "epoch": 1},
    }
    torch.save(state, tmp_path / "checkpoint.pt")
    back = checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "checkpoint.pt"))
    assert back["extra_state"]["metrics"][0][1].tolist() == [3.0, 2.0]
    assert back["cfg"].model.arch == "lstm"


def test_fairseq_refuses_a_checkpoint_that_would_run_code(tmp_path: Path) -> None:
    torch.save({"model": Touches(tmp_path / "it_ran")}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointRefused, match="checkpoint.pt holds (posix|nt).system"):
        checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "checkpoint.pt"))
    with pytest.raises(CheckpointRefused):
        checkpoint_utils.load_ema_from_checkpoint(str(tmp_path / "checkpoint.pt"))
    assert not (tmp_path / "it_ran").exists()


def test_generate_refuses_it_and_ends_with_the_sentence(tmp_path: Path) -> None:
    torch.save({"model": Touches(tmp_path / "it_ran")}, tmp_path / "checkpoint.pt")
    data = dictionaries(tmp_path)
    command = [str(BIN / "fairseq-generate"), str(data), "--path", str(tmp_path / "checkpoint.pt")]
    done = subprocess.run(
        [*command, "--source-lang", "de", "--target-lang", "en", "--cpu"],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "checkpoint.pt holds posix.system, which is not among the classes" in last
    assert not (tmp_path / "it_ran").exists()


def test_a_config_string_is_not_run_as_code(tmp_path: Path) -> None:
    from fairseq.models.fconv import FConvModel, fconv_iwslt_de_en

    attack = f"__import__('os').mkdir({str(tmp_path / 'it_ran')!r})"
    config = argparse.Namespace(encoder_layers=attack, max_source_positions=8)
    fconv_iwslt_de_en(config)
    vocabulary = fairseq.data.Dictionary()
    task = argparse.Namespace(source_dictionary=vocabulary, target_dictionary=vocabulary)
    with pytest.raises(ValueError, match="is not a plain value"):
        FConvModel.build_model(config, task)
    with pytest.raises(ValueError, match="is not a plain value"):
        utils.eval_str_dict(attack)
    assert not (tmp_path / "it_ran").exists()


def test_a_config_goes_from_rank_to_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What rank 0 sends is caught on the way and read as rank 1 would read it."""
    sent: list[torch.Tensor] = []
    config = OmegaConf.create({"model": {"lr": [0.1, 2], "arch": None, "name": "${task}"}})
    config._set_flag("allow_objects", True)
    state = {"cfg": config, "model": {"weight": torch.ones(2)}, "n": np.float64(3)}
    plain = distributed_utils._split_tensors_from_obj(state, [])

    def broadcast(tensor: torch.Tensor, src: int, group: object) -> None:
        if rank == 0:
            sent.append(tensor.clone())
        else:
            tensor.copy_(sent.pop(0))

    monkeypatch.setattr(distributed_utils, "get_rank", lambda group: rank)
    monkeypatch.setattr(distributed_utils, "broadcast", broadcast)
    rank = 0
    device = torch.device("cpu")
    distributed_utils._broadcast_object_slow(plain, 0, None, device)
    rank = 1
    back = distributed_utils._broadcast_object_slow(None, 0, None, device)
    assert back["cfg"]._content.keys() == config._content.keys()
    assert back["cfg"].model.lr == [0.1, 2]
    assert back["model"]["weight"] == plain["model"]["weight"]
    assert back["n"] == 3


def test_fairseqs_placeholder_is_on_the_list_once_fairseq_is_loaded() -> None:
    assert distributed_utils._TensorPlaceholder in safe_types()


def test_the_fused_encoder_path_is_never_taken() -> None:
    from fairseq.models.transformer import TransformerConfig
    from fairseq.modules.transformer_layer import TransformerEncoderLayerBase

    config = TransformerConfig()
    config.encoder.embed_dim, config.encoder.ffn_embed_dim = 8, 16
    config.encoder.attention_heads = 2
    layer = TransformerEncoderLayerBase(config).eval()
    assert layer.can_use_fastpath is False
    x = torch.ones(3, 1, 8)  # (T, B, C)
    before = layer(x, None)
    with torch.no_grad():
        layer.fc1.weight.zero_()
    assert not torch.equal(layer(x, None), before)


def test_names_of_old_numpy_are_seen_by_their_users_only() -> None:
    import fairseq.data.data_utils as user
    import fairseq.data.token_block_dataset as other

    assert user.np.percentile([1, 2, 3, 4], 50, interpolation="lower") == 2
    assert user.np.int(2.5) == 2
    assert other.np.compat.long is int
    if int(np.__version__.split(".")[0]) >= 2:
        assert not hasattr(np, "compat")


def test_the_huffman_coder_finds_the_last_one() -> None:
    from bitarray import bitarray
    from fairseq.data.huffman import huffman_coder

    assert huffman_coder.util.rindex(bitarray("01010"), 1) == 3
    with pytest.raises(ValueError):
        huffman_coder.util.rindex(bitarray("000"), 1)


def test_torch_itself_is_untouched() -> None:
    assert torch.load.__module__ == "torch.serialization"
    assert checkpoint_utils.torch is not torch
    assert checkpoint_utils.torch.load is not torch.load
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_a_user_dir_is_found_by_the_name_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "somewhere" / "named_user_dir"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("loaded = True\n")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.chdir(tmp_path)
    utils.import_user_module(argparse.Namespace(user_dir="named_user_dir"))
    assert sys.modules["named_user_dir"].loaded


def test_a_user_dir_that_exists_nowhere_is_fairseqs_error() -> None:
    with pytest.raises(FileNotFoundError, match="no_such_dir"):
        utils.import_user_module(argparse.Namespace(user_dir="no_such_dir"))


@pytest.mark.parametrize("setting", ["arch", "_name"])
def test_an_architecture_of_a_plugin_is_named(setting: str) -> None:
    from fairseq import models

    config = argparse.Namespace(**{setting: "no_such_net", "eval_bleu_args": "{}"})
    with pytest.raises(ValueError, match="no architecture 'no_such_net': give the --user-dir of "):
        models.build_model(config, None)


def test_an_error_inside_hydra_train_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from hydra._internal import utils as hydra_utils

    def fails() -> None:
        raise FileNotFoundError("dict.de.txt")

    def run_job() -> None:  # hydra prints what lies below a frame of this name
        fails()

    with pytest.raises(SystemExit):
        hydra_utils.run_and_report(run_job)
    shown = capsys.readouterr().err
    assert "FileNotFoundError: dict.de.txt" in shown
    assert "in fails" in shown


@pytest.mark.parametrize("name", ["train", "preprocess", "generate", "interactive", "validate"])
def test_the_commands_of_fairseq_are_the_unmodified_ones(name: str) -> None:
    text = (BIN / f"fairseq-{name}").read_text()
    assert f"from fairseq_cli.{name} import cli_main" in text


def test_a_copy_that_is_cut_leaves_the_last_checkpoint_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: Any, target: Any, length: int) -> None:
        target.write(source.read()[:2])
        raise KeyboardInterrupt

    new, last = tmp_path / "new.pt", tmp_path / "checkpoint_last.pt"
    new.write_bytes(b"new!")
    last.write_bytes(b"old!")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.copyfileobj", half)
        checkpoint_utils.PathManager.copy(str(new), str(last), overwrite=True)
    assert last.read_bytes() == b"old!"
    assert checkpoint_utils.PathManager.copy(str(new), str(last), overwrite=True)
    assert last.read_bytes() == b"new!"
