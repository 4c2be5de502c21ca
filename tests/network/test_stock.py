"""Files that are known for what they are without their model, and what the model itself says."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.cli.main import main
from fairseq_prune.network.classes import GRANULARITIES
from fairseq_prune.network.stock import LSTMS, TRANSFORMERS, stock_ties
from fairseq_prune.tasks import opening
from tests.models import nets

TASK = {"_name": "translation", "data": "data", "source_lang": "de", "target_lang": "en"}
PLAIN = {
    name: flags
    for name, flags in nets.NETS.items()
    if name.startswith(("lstm", "transformer"))
    and "cross-att" not in name
    and "learned" not in name
}
# by how likely they are: what a stock model may have, and what only its class can say
USUAL = {
    "transformer": (
        "--encoder-normalize-before --decoder-normalize-before --share-all-embeddings "
        "--share-decoder-input-output-embed --encoder-layerdrop=0.2 --dropout=0.3 "
        "--activation-fn=gelu --encoder-embed-dim=24 --decoder-ffn-embed-dim=20 "
        "--encoder-layers=1 --decoder-layers=3"
    ).split(),
    "lstm": (
        "--encoder-bidirectional --share-all-embeddings --share-decoder-input-output-embed "
        "--encoder-layers=2 --decoder-layers=2 --decoder-attention=0 --encoder-hidden-size=8 "
        "--decoder-hidden-size=12 --decoder-out-embed-dim=6 --encoder-embed-dim=10"
    ).split(),
}
RARE = {
    "transformer": (
        "--no-cross-attention --cross-self-attention --layernorm-embedding --encoder-learned-pos "
        "--no-token-positional-embeddings --no-decoder-final-norm --adaptive-softmax-cutoff=5,9 "
        "--quant-noise-pq=0.1 --checkpoint-activations --decoder-output-dim=8 "
        "--encoder-layers-to-keep=0"
    ).split(),
    "lstm": "--encoder-freeze-embed --criterion=adaptive_loss".split(),
}


def content_of(flags: str) -> dict[str, Any]:
    args = nets.settings(flags)
    content = nets.checkpoint(args, nets.build(args))
    return {**content, "cfg": {**content["cfg"], "task": TASK}}


def drawn(draw: random.Random) -> dict[str, Any]:
    """A checkpoint of a model with random settings, which fairseq builds."""
    family = draw.choice(["transformer", "lstm"])
    flags = [flag for flag in USUAL[family] if draw.random() < 0.3]
    flags += [flag for flag in RARE[family] if draw.random() < 0.05]
    base = nets.TRANSFORMER if family == "transformer" else nets.LSTM
    try:
        return content_of(f"{base} {' '.join(flags)}")
    except (AssertionError, AttributeError, RuntimeError, ValueError):
        return drawn(draw)


def asked(content: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file as its model's class reads it."""
    with monkeypatch.context() as patch:
        patch.setattr(opening, "stock_ties", lambda _: None)
        found = opening.read(path, content)
    assert found.layout.model is not None
    return found


def facts(path: str, found: Any, classes: str) -> dict[str, Any]:
    """What commands see of a file, but for the models' own objects."""
    opened = opening.opened_of(path, found.content, found.layout, classes)
    weights = [
        (w.name, w.weight_class, w.aliases, w.fixed, w.tensor.data_ptr())
        for w in opened.weights.values()
    ]
    tensors = {n: (v.data_ptr(), v.shape) for n, v in found.content["model"].items()}
    return {"weights": weights, "tensors": tensors, "torn": found.torn}


def test_the_architectures_are_those_of_the_two_models() -> None:
    import fairseq.models

    found = fairseq.models.ARCH_MODEL_NAME_REGISTRY
    for family, known in (("transformer", TRANSFORMERS), ("lstm", LSTMS)):
        # ours that is fairseq's with other numbers says `transformer` in its files
        ours = {"transformer_multi30k_de_en"}
        assert {arch for arch, its in found.items() if its == family} - ours == set(known)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_models_are_known(name: str) -> None:
    assert stock_ties(content_of(PLAIN[name])) is not None


@pytest.mark.parametrize("seed", range(30))
def test_what_is_known_is_what_the_model_says(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    content = drawn(draw)
    path = nets.save(tmp_path / "some.pt", content)
    if draw.random() < 0.3:  # as fairseq saves a model that was on a GPU
        content["model"] = {name: value.clone() for name, value in content["model"].items()}
    if draw.random() < 0.3:  # as other versions do, and exports
        content["model"] = {n: v for n, v in content["model"].items() if not n.endswith("fc1_bias")}
    if stock_ties(content) is None:
        return
    known, truth = opening.read(path, content), asked(content, path, monkeypatch)
    assert known.layout.model is None
    for classes in GRANULARITIES:
        assert facts(path, known, classes) == facts(path, truth, classes)
    assert [*known.layout.ties] == [*truth.layout.ties]


def _first(state: dict[str, Any], ending: str) -> str:
    return next(name for name in state if name.endswith(ending))


def _renamed(content: dict[str, Any]) -> None:
    state = content["model"]
    for name in [name for name in state if "final_layer_norm" in name]:
        state[name.replace("final_layer_norm", "layer_norms.1")] = state.pop(name)


def _joined(content: dict[str, Any]) -> None:
    state = content["model"]
    at = "decoder.layers.0.self_attn."
    parts = [state.pop(f"{at}{part}_proj.weight") for part in "qkv"]
    state[f"{at}in_proj_weight"] = torch.cat(parts)


def _reordered(content: dict[str, Any]) -> None:
    state = content["model"]
    name = _first(state, "fc1.weight")
    state[name] = state.pop(name)


def _settings(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: vars(content["cfg"]["model"]).update(values)


OTHERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "names of older versions": _renamed,
    "attention in one matrix": _joined,
    "another order": _reordered,
    "a tensor more": lambda c: c["model"].update(more=torch.zeros(2, 2)),
    "a tensor less": lambda c: c["model"].pop("decoder.layers.0.fc1.weight"),
    "no softmax": lambda c: c["model"].pop("decoder.output_projection.weight"),
    "no version": lambda c: c["model"].pop("decoder.version"),
    "an older version": lambda c: c["model"].update({"decoder.version": torch.tensor([2.0])}),
    "another shape": lambda c: c["model"].update({"decoder.layers.0.fc1.bias": torch.zeros(3)}),
    "no tensor": lambda c: c["model"].update({"decoder.layers.0.fc1.bias": 3}),
    "an average of another model": lambda c: c["extra_state"].update(ema={"x": torch.zeros(2)}),
    "another task": lambda c: c["cfg"].update(task={"_name": "translation_lev"}),
    "arguments of old": lambda c: c.update(args=c["cfg"]["model"]),
    "layers more than there are": _settings(decoder_layers=10**12),
    "no number of layers": _settings(decoder_layers="2"),
    "heads that do not divide": _settings(decoder_attention_heads=3),
    "layers that are left out": _settings(encoder_layers_to_keep="0"),
    "another architecture": _settings(_name="transformer_align"),
}


@pytest.mark.parametrize("change", OTHERS)
def test_anything_else_is_for_the_models_class_to_say(change: str) -> None:
    content = content_of(nets.TRANSFORMER)
    content["model"] = dict(content["model"])
    assert stock_ties(content) is not None
    OTHERS[change](content)
    assert stock_ties(content) is None


def test_a_frozen_table_is_for_the_models_class_to_say() -> None:
    content = content_of(nets.LSTM)
    assert stock_ties(content) is not None
    _settings(decoder_freeze_embed=True)(content)
    assert stock_ties(content) is None


@pytest.mark.parametrize("name", [*PLAIN][::3])
def test_inspect_and_verify_say_the_same_as_with_the_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dense = nets.save(tmp_path / "dense.pt", content_of(PLAIN[name]))
    pruned, units = str(tmp_path / "pruned.pt"), str(tmp_path / "units.pt")
    blind = ["--prune-scheme", "class-blind", "--prune-sparsity", "0.5"]
    assert main(["apply", dense, "--output", pruned, *blind]) == 0
    structure = ["--prune-structure", "ffn" if "transformer" in name else "hidden"]
    assert main(["apply", dense, "--output", units, *blind, *structure]) == 0
    lines = [
        *(["inspect", path] for path in (dense, pruned, units)),
        *(["inspect", path, "--prune-classes", "component", "--json"] for path in (dense, pruned)),
        *(["verify", path, "--json"] for path in (dense, pruned, units)),
        ["verify", pruned, "--masks-from", units, "--json"],
    ]

    def said() -> list[Any]:
        capsys.readouterr()
        return [(main(words), capsys.readouterr()) for words in lines]

    known = said()
    monkeypatch.setattr(opening, "stock_ties", lambda _: None)
    assert known == said()


def test_inspect_and_verify_do_without_fairseq(tmp_path: Path) -> None:
    dense, pruned = nets.save(tmp_path / "dense.pt", content_of(nets.LSTM)), tmp_path / "pruned.pt"
    assert main(["apply", dense, "--output", str(pruned), "--prune-scheme", "class-blind"]) == 0
    words = [["inspect", dense, "--json"], ["verify", str(pruned), "--json"]]
    code = (
        "import sys; from fairseq_prune.cli.main import main\n"
        f"codes = [main(every) for every in {words}]\n"
        "print([codes, sorted({'fairseq', 'hydra'} & {*sys.modules})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[[0, 0], []]", done.stderr
    assert json.loads(done.stdout.splitlines()[1])["ok"]
