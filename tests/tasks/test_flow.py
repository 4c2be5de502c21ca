"""SynFlow on fairseq's own models: flow is conserved in each unit, and reaches every matrix."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils
from torch import Tensor

from fairseq_prune.network.weights import of_module
from fairseq_prune.saliency import SALIENCIES, Probe
from fairseq_prune.tasks._flow import flow_of
from tests.conftest import Train


@pytest.fixture(params=["lstm", "transformer"])
def model(request: Any, train: Train, corpus: Path, tmp_path: Path) -> Any:
    train(tmp_path, "--max-update", 1, arch=request.param)
    (found,), _, _ = checkpoint_utils.load_model_ensemble_and_task(
        [str(tmp_path / "checkpoint_last.pt")], arg_overrides={"data": str(corpus)}
    )
    return found


def scores_of(model: Any) -> dict[str, Tensor]:
    probe = Probe(of_module(model), flow=flow_of(model))
    return {name: s.values for name, s in SALIENCIES["synflow"].score(probe).items()}


def test_flow_is_conserved_in_every_unit(model: Any) -> None:
    s = scores_of(model)
    blocks = [name.removesuffix("fc1.weight") for name in s if name.endswith(".fc1.weight")]
    for at in blocks:
        torch.testing.assert_close(s[at + "fc1.weight"].sum(1), s[at + "fc2.weight"].sum(0))
    for name in [name for name in s if name.endswith("attn.out_proj.weight")]:
        at = name.removesuffix("out_proj.weight")
        into = s[at + "q_proj.weight"] + s[at + "k_proj.weight"] + s[at + "v_proj.weight"]
        torch.testing.assert_close(into.sum(1), s[name].sum(0))
    if not blocks:
        # what attention puts out goes to the output layer, and into the next step
        out = s["decoder.attention.output_proj.weight"].sum(1)
        last = next(n for n in s if n in ("decoder.additional_fc.weight", "decoder.fc_out.weight"))
        fed = s["decoder.layers.0.weight_ih"][:, -len(out) :]
        torch.testing.assert_close(out, s[last].sum(0) + fed.sum(0))


def test_every_matrix_carries_flow(model: Any) -> None:
    assert all(float(values.sum()) > 0 for values in scores_of(model).values())
