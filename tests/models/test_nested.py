"""Units of checkpoints whose settings are nested, as fairseq-hydra-train writes them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_prune.checkpoints.shrink import plan, shrink
from fairseq_prune.tasks.opening import open_checkpoint
from tests.models.nets import checkpoint, logits, save, task

SIDE = {"embed_dim": 16, "ffn_embed_dim": 12, "layers": 2}  # 8 heads: fairseq's default
NESTED = {
    "_name": "transformer",
    "base_layers": 0,
    "encoder": {**SIDE, "attention_heads": 8},
    "decoder": SIDE,
    "encoder_ffn_embed_dim": None,
    "decoder_ffn_embed_dim": None,
    "max_source_positions": 16,
    "max_target_positions": 16,
}


def build(config: Any) -> Any:
    """The model of this configuration, as fairseq builds it when it loads a file; in float64."""
    from fairseq import models

    import fairseq_prune

    fairseq_prune.register()
    return (
        models.build_model(OmegaConf.create(config), task(), from_checkpoint=True).double().eval()
    )


def zeroed(model: Any, parts: tuple[str, ...]) -> None:
    """The first quarter of what these modules read: 3 of 12 neurons, 2 of 8 heads."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(tuple(f"{part}.weight" for part in parts)):
                parameter[:, : parameter.shape[1] // 4] = 0
    model.load_state_dict(model.state_dict())  # fairseq's second copies of them too


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("parts", [("fc2",), ("fc2", "out_proj")])
def test_a_nested_configuration_is_shrunk(
    parts: tuple[str, ...], uniform: bool, tmp_path: Path
) -> None:
    model = build(NESTED)
    zeroed(model, parts)
    settings: Any = NESTED
    content = checkpoint(settings, model)
    cut = plan(open_checkpoint(save(tmp_path / "pruned.pt", content)), uniform)
    assert cut.counts["encoder.layers.1.ffn"] == (12, 9)
    few = not uniform and "out_proj" in parts
    assert cut.counts["encoder.layers.0.self_attn.heads"] == (8, 6 if few else 8)
    assert cut.counts["decoder.layers.1.encoder_attn.heads"] == (8, 6 if few else 8)
    config = shrink(cut)["cfg"]["model"]
    assert config["_name"] == ("shrunk_transformer" if few else "transformer")
    small = build(config)
    small.load_state_dict(shrink(cut)["model"], strict=True)
    assert torch.allclose(logits(small), logits(model), rtol=0, atol=1e-9)
    assert NESTED["encoder"] == {**SIDE, "attention_heads": 8}
