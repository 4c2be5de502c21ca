"""Whole layers pruned, held, cut out and decoded by stock fairseq."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints import storage
from fairseq_prune.tasks.opening import open_checkpoint
from tests.cli.test_shrink import translations
from tests.conftest import run

DEEP = ("--encoder-layers", 4, "--decoder-layers", 3)
HALF = ("--prune-scheme", "class-uniform", "--prune-structure", "layers", "--prune-sparsity", "0.5")


@pytest.fixture
def dense(train: Any, tmp_path: Path) -> Any:
    """Trains a Transformer of 4 + 3 layers a little; gives the path of the checkpoint."""

    def make(*flags: Any) -> Path:
        train(tmp_path / "dense", "--max-update", 30, *DEEP, *flags, arch="transformer")
        return tmp_path / "dense" / "checkpoint_last.pt"

    return make


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, str]:
    """The environment of a process without a trace of this package."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "fairseq_prune.py").write_text("raise ImportError('hidden')\n")
    return {"PYTHONPATH": str(hidden)}


def sizes(path: Path) -> tuple[Any, Any]:
    settings = storage.load(path)["cfg"]["model"]
    return settings.encoder_layers, settings.decoder_layers


PRE_NORM = ("--encoder-normalize-before", "--decoder-normalize-before")


@pytest.mark.parametrize("flags", [(), PRE_NORM], ids=["post-norm", "pre-norm"])
def test_stock_fairseq_translates_the_same(
    flags: Any, dense: Any, call: Any, corpus: Path, plain: Any, tmp_path: Path
) -> None:
    whole, pruned, small = dense(*flags), tmp_path / "pruned.pt", tmp_path / "small.pt"
    assert call("apply", whole, "--output", pruned, *HALF)[0] == 0
    assert call("verify", pruned)[0] == 0
    assert len(open_checkpoint(str(pruned)).masks.out) == 4
    code, out, err = call("shrink", pruned, "--output", small)
    assert (code, err) == (0, "")
    assert "a plain fairseq checkpoint: it opens without this package" in out
    assert sizes(small) == (2, 1)
    before = translations(corpus, pruned, **plain)
    assert translations(corpus, small, **plain) == before
    assert before != translations(corpus, whole, **plain)


def logits(model: Any, corpus: Path) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    source, target = (torch.randint(4, 10, (3, 7), generator=draw) for _ in range(2))
    source[1, 4:] = 1  # padding
    with torch.no_grad():
        return model.eval()(source, torch.full((3,), 7), target)[0]


@pytest.mark.parametrize("flags", [(), PRE_NORM], ids=["post-norm", "pre-norm"])
def test_a_live_model_without_layers_is_the_smaller_one_bit_for_bit(
    flags: Any, dense: Any, call: Any, corpus: Path, tmp_path: Path
) -> None:
    from fairseq_prune.network.layers import leave_out_, left_out
    from fairseq_prune.tasks.loaded import load

    whole, pruned, small = dense(*flags), tmp_path / "pruned.pt", tmp_path / "small.pt"
    call("apply", whole, "--output", pruned, *HALF)
    call("shrink", pruned, "--output", small)
    out = storage.masks_of(storage.load(pruned), pruned).out
    models = [load([str(path)], {"data": str(corpus)}).models[0] for path in (whole, small, pruned)]
    before = logits(models[0], corpus)
    leave_out_(models[0], out)
    assert left_out(models[0]) == out
    found = [logits(model, corpus) for model in models]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[2], found[1])
    leave_out_(models[0], ())
    assert torch.equal(logits(models[0], corpus), before)


def refused(call: Any, *arguments: Any) -> str:
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return str(err.removeprefix("fairseq-prune: ").strip())


def test_the_last_layer_of_a_stack_does_not_go(dense: Any, call: Any, tmp_path: Path) -> None:
    path, output = dense(), tmp_path / "pruned.pt"
    most = (*HALF[:-1], "0.9")
    assert refused(call, "apply", path, "--output", output, *most) == (
        "0.9 of the 4 layers of source-layers is 4, and the last layer of an encoder or decoder "
        "cannot go: remove 3 at most, or leave them whole (--prune-exclude source-layer)."
    )
    assert not output.exists()
    given = tmp_path / "shares"
    given.write_text("source-layers 0.75\ntarget-layers 0.34\n")
    shares = ("--prune-scheme", "given", "--prune-given", given, "--prune-structure", "layers")
    assert call("apply", path, "--output", output, *shares)[0] == 0
    assert call("verify", output)[0] == 0
    out = storage.masks_of(storage.load(output), output).out
    assert [sum(name.startswith(side) for name in out) for side in ("encoder", "decoder")] == [3, 1]


def test_blindly_one_layer_of_each_stack_stays(dense: Any, call: Any, tmp_path: Path) -> None:
    path, output, small = dense(), tmp_path / "pruned.pt", tmp_path / "small.pt"
    blind = ("--prune-scheme", "class-blind", *HALF[2:-1], 5 / 7)
    assert call("apply", path, "--output", output, *blind)[0] == 0
    assert call("verify", output)[0] == 0
    assert call("shrink", output, "--output", small)[0] == 0
    assert sizes(small) == (1, 1)


def test_layers_that_are_excluded_stay(dense: Any, call: Any, tmp_path: Path) -> None:
    path, output = dense(), tmp_path / "pruned.pt"
    leave = ("--prune-exclude", "target-layer,source-layer-1,source-layer-4")
    assert call("apply", path, "--output", output, *HALF, *leave)[0] == 0
    out = storage.masks_of(storage.load(output), output).out
    assert len(out) == 1
    assert out < {"encoder.layers.1", "encoder.layers.2"}
    assert call("verify", output)[0] == 0
    # and more of all layers, by scores in which the one that is gone takes no part
    further = tmp_path / "further.pt"
    assert call("apply", output, "--output", further, *HALF)[0] == 0
    assert call("verify", further)[0] == 0
    more = storage.masks_of(storage.load(further), further).out
    assert out < more
    assert [sum(name.startswith(side) for name in more) for side in ("encoder", "decoder")] == [
        2,
        2,
    ]


def test_layers_go_before_the_units_of_those_that_stay(
    dense: Any, call: Any, corpus: Path, tmp_path: Path
) -> None:
    path, output, small = dense(), tmp_path / "pruned.pt", tmp_path / "small.pt"
    every = (*HALF[:3], "ffn+heads+layers", *HALF[4:])
    assert call("apply", path, "--output", output, *every)[0] == 0
    assert call("verify", output)[0] == 0
    code, out, _ = call("shrink", output, "--output", small)
    assert code == 0
    assert "architecture shrunk_transformer" in out
    settings = storage.load(small)["cfg"]["model"]
    assert settings.encoder_ffn_widths == "16,16"
    assert settings.decoder_cross_heads == "1"
    plugin = ("--user-dir", Path(__file__).resolve().parents[2] / "fairseq_prune")
    before = translations(corpus, output)
    assert translations(corpus, small, *plugin) == before
    # in turns by hand: the same layers, and as many units
    half, both = tmp_path / "half.pt", tmp_path / "both.pt"
    assert call("apply", path, "--output", half, *HALF)[0] == 0
    assert call("apply", half, "--output", both, *HALF[:3], "ffn+heads", *HALF[4:])[0] == 0
    assert call("verify", both)[0] == 0
    masks = [storage.masks_of(storage.load(one), one) for one in (output, both)]
    assert masks[0].digest() == masks[1].digest()


def test_an_lstm_has_no_layers_to_take(train: Any, call: Any, tmp_path: Path) -> None:
    train(tmp_path / "lstm", "--max-update", 1)
    path = tmp_path / "lstm" / "checkpoint_last.pt"
    assert refused(call, "apply", path, "--output", tmp_path / "out.pt", *HALF) == (
        "--prune-structure layers finds no units in this model; an LSTM's layers have no residual "
        "connection, by which what comes in could go on without a layer; it has: hidden, embedding."
    )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--prune-multiple", 8), "--prune-multiple 8 counts units of a layer, not layers"),
        (
            ("--prune-structure", "ffn+layers", "--prune-scheme", "given", "--prune-given", "* .5"),
            "--prune-scheme given has no place with --prune-structure ffn+layers",
        ),
    ],
)
def test_what_layers_cannot_be_with(flags: Any, words: str, call: Any, tmp_path: Path) -> None:
    given = ("--prune-scheme", "class-uniform", "--prune-structure", "layers")
    assert refused(call, "apply", tmp_path / "x.pt", "--output", "y", *given, *flags).startswith(
        words
    )


SALIENCIES = (
    *("leave-one-out", "angular-distance", "gate", "taylor", "n2ps", "goodness-factor"),
    *("consuming-energy", "weights-power", "mutual-information", "random", "magnitude", "wanda"),
)


def test_every_saliency_of_units_scores_layers(
    dense: Any, call: Any, corpus: Path, tmp_path: Path
) -> None:
    path, output = dense(), tmp_path / "pruned.pt"
    for name in SALIENCIES:
        data = () if name in ("weights-power", "random", "magnitude") else ("--data", corpus)
        flags = (*HALF, "--prune-saliency", name, "--force", *data)
        code, _, err = call("apply", path, "--output", output, *flags)
        assert code == 0, err
        assert len(storage.masks_of(storage.load(output), output).out) == 4


def test_a_layer_that_does_nothing_goes_first(
    dense: Any, call: Any, corpus: Path, tmp_path: Path
) -> None:
    path, idle, output = dense(*PRE_NORM), tmp_path / "idle.pt", tmp_path / "pruned.pt"
    content = storage.load(path)
    for layer in ("encoder.layers.2", "decoder.layers.1"):  # the identity, in a pre-norm network
        for part in ("self_attn.out_proj", "encoder_attn.out_proj", "fc2"):
            for kind in ("weight", "bias"):
                name = f"{layer}.{part}.{kind}"
                if name in content["model"]:
                    content["model"][name] = torch.zeros_like(content["model"][name])
    storage.save(content, idle)
    flags = ("--prune-scheme", "class-uniform", "--prune-structure", "layers", "--data", corpus)
    for name in ("leave-one-out", "angular-distance", "gate", "weights-power"):
        more = flags if name != "weights-power" else flags[:-2]
        call("apply", idle, "--output", output, *more, "--prune-sparsity", "0.3",
             "--prune-saliency", name, "--force")  # fmt: skip
        out = storage.masks_of(storage.load(output), output).out
        expected = {"encoder.layers.2", "decoder.layers.1"}
        # gone without a trace: by the loss, which can also fall without a layer, not always first
        assert out == expected or name == "leave-one-out"
    # without them nothing changes, not even a bit of the scores
    from fairseq_prune.tasks.loaded import load

    models = [load([str(one)], {"data": str(corpus)}).models[0] for one in (idle, output)]
    assert torch.equal(*(logits(model, corpus) for model in models))


def test_a_saliency_of_layers_is_for_layers_alone(call: Any, tmp_path: Path) -> None:
    for structure in ("ffn", "ffn+layers"):
        assert refused(
            call, "apply", tmp_path / "x.pt", "--output", "y", "--prune-scheme", "class-uniform",
            "--prune-structure", structure, "--prune-saliency", "leave-one-out", "--data", tmp_path,
        ) == (
            "--prune-saliency leave-one-out scores layers; give --prune-structure layers alone, or "
            "choose another saliency."
        )  # fmt: skip


def test_what_is_exported_has_the_layers_that_are_left(
    dense: Any, call: Any, corpus: Path, plain: Any, tmp_path: Path
) -> None:
    path, pruned, small = dense(), tmp_path / "pruned.pt", tmp_path / "small.pt"
    call("apply", path, "--output", pruned, *HALF)
    assert call("export", pruned, "--format", "checkpoint", "--output", small)[0] == 0
    assert sizes(small) == (2, 1)
    assert translations(corpus, small, **plain) == translations(corpus, pruned, **plain)


def test_a_file_that_does_not_say_so_is_wrong(dense: Any, call: Any, tmp_path: Path) -> None:
    path, pruned = dense(), tmp_path / "pruned.pt"
    call("apply", path, "--output", pruned, *HALF)
    content = torch.load(pruned, weights_only=False)
    assert content["cfg"]["model"].encoder_layers_to_keep.count(",") == 1
    content["cfg"]["model"].encoder_layers_to_keep = None
    torch.save(content, pruned)
    code, out, _ = call("verify", pruned)
    assert code == 1
    assert "layers that are gone would be run by fairseq" in out


def test_training_runs_what_stock_fairseq_opens(
    train: Any, call: Any, corpus: Path, plain: Any, tmp_path: Path
) -> None:
    flags = (*DEEP, *HALF, "--max-update", 6)
    content = train(tmp_path / "run", *flags, arch="transformer")
    last = tmp_path / "run" / "checkpoint_last.pt"
    said = run(
        "fairseq-validate", corpus, "--task", "translation", "--path", last, "--cpu",
        "--max-tokens", 200, **plain,
    )  # fmt: skip
    (loss,) = re.findall(r"\| loss ([0-9.]+)", said)
    assert float(loss) == pytest.approx(content["extra_state"]["val_loss"], abs=1e-3)
    # trained further under the masks that the file brings
    from fairseq_prune.tasks.command_line import training_flags

    assert not [word for word in training_flags(content) if "to-keep" in word]
    further = train(tmp_path / "further", *DEEP, "--max-update", 2, "--finetune-from-model", last,
                    arch="transformer")  # fmt: skip
    masks = [storage.masks_of(one, "it") for one in (content, further)]
    assert masks[0].out == masks[1].out
    assert len(masks[0].out) == 4
    assert call("verify", tmp_path / "further" / "checkpoint_last.pt")[0] == 0


def test_weights_do_not_come_back_into_layers_that_are_gone(
    dense: Any, call: Any, train: Any, tmp_path: Path
) -> None:
    pruned = tmp_path / "pruned.pt"
    call("apply", dense(), "--output", pruned, *HALF)
    rigl = ("--prune-scheme", "erk", "--prune-saliency", "random", "--prune-sparsity", 0.8,
            "--prune-schedule", "rigl", "--prune-end", 4)  # fmt: skip
    with pytest.raises(SystemExit, match="has lost whole layers, which stay away: cut them out"):
        train(tmp_path / "rigl", *DEEP, *rigl, "--max-update", 5, "--finetune-from-model", pruned,
              arch="transformer")  # fmt: skip


def test_a_model_trained_with_layerdrop_is_known_as_that(
    dense: Any, call: Any, train: Any, tmp_path: Path
) -> None:
    drop = ("--encoder-layerdrop", 0.2, "--decoder-layerdrop", 0.1)
    path, output = dense(*drop), tmp_path / "pruned.pt"
    _, _, err = call("apply", path, "--output", output, *HALF)
    assert f"{path} was trained with LayerDrop (encoder 0.2, decoder 0.1), for the loss" in err
    # and in training layers are dropped at random among those that are left
    gradual = ("--prune-schedule", "gradual", "--prune-end", 3, "--prune-every", 1)
    flags = ("--max-update", 4, "--finetune-from-model", path, *DEEP, *drop, *HALF, *gradual)
    train(tmp_path / "run", *flags, arch="transformer")
    assert call("verify", tmp_path / "run" / "checkpoint_last.pt")[0] == 0
