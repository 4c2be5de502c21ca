"""The linear copy of a fairseq model that SynFlow looks at."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.network.linearise import linear_copy
from fairseq_prune.saliency.probe import Flow
from fairseq_prune.tasks._sample import without_checkpoints

_LENGTH = 2  # two steps, so that the weights from a state to the next take part
_TOKEN = 3  # which token does not matter, as long as it is not padding
# cells that pad their states, layers of HuggingFace's: what is linear there is not known
_NOT_KNOWN = ("ShrunkLSTMModel", "BertFusedModel with --prune-bert")


def flow_of(model: nn.Module) -> Flow:
    """The copy, and how to run it on one sentence of nothing but ones.

    Raises ValueError for a model that takes neither source nor target tokens.
    """
    takes = inspect.signature(model.forward).parameters
    name = type(model).__name__
    if any(parameter.startswith("encoder.bert.") for parameter, _ in model.named_parameters()):
        name += " with --prune-bert"
    if "src_tokens" not in takes or name in _NOT_KNOWN:
        raise ValueError(
            f"--prune-saliency synflow does not know how to run a {name}; choose another saliency."
        )

    inputs = 2 if "prev_output_tokens" in takes else 1
    linear = linear_copy(model, normalised=inputs > 1)

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

    return Flow(linear, run, inputs)
