"""The linear copy of a fairseq model that SynFlow looks at."""

import inspect
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.network.linearise import linear_copy, normalised_copy
from fairseq_prune.saliency.probe import Flow
from fairseq_prune.tasks._sample import without_checkpoints

_LENGTH = 2  # two steps, so that the weights from a state to the next take part
_TOKEN = 3  # which token does not matter, as long as it is not padding
# cells that pad their states, layers of HuggingFace's: what is linear there is not known
_NOT_KNOWN = ("ShrunkLSTMModel", "BertFusedModel with --prune-bert")


def flow_of(model: nn.Module) -> Flow:
    """The copy, and how to run it on one sentence of nothing but ones.

    Raises ValueError for a model that takes neither source nor target tokens, or has convolutions.
    """
    takes = inspect.signature(model.forward).parameters
    _check_known(model, takes)
    gates: list[Tensor] = []
    if "prev_output_tokens" in takes:
        linear, gates = normalised_copy(model)
    else:
        linear = linear_copy(model)

    def run(network: Any) -> Tensor:
        device = next(network.parameters()).device
        tokens = torch.full((1, _LENGTH), _TOKEN, device=device)
        given: dict[str, Any] = {"src_tokens": tokens}
        if "src_lengths" in takes:
            given["src_lengths"] = torch.tensor([_LENGTH], device=device)
        if "prev_output_tokens" in takes:
            given["prev_output_tokens"] = tokens
        for head in list(getattr(network, "classification_heads", {}))[:1]:
            given |= {"features_only": True, "classification_head_name": head}
        with without_checkpoints(network):
            output = network(**given)
        logits: Tensor = output[0] if isinstance(output, tuple) else output
        return logits

    return Flow(linear, run, gates)


def _check_known(model: nn.Module, takes: Collection[str]) -> None:
    name = type(model).__name__
    if any(parameter.startswith("encoder.bert.") for parameter, _ in model.named_parameters()):
        name += " with --prune-bert"
    # dynamic ones put their kernel through a softmax, fconv's all weights through a norm
    convolves = any("Conv" in type(module).__name__ for module in model.modules())
    if "src_tokens" not in takes or name in _NOT_KNOWN or convolves:
        raise ValueError(
            f"--prune-saliency synflow does not know how to run a {name}; choose another saliency."
        )
