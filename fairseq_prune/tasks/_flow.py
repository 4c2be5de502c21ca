"""The linear copy of a fairseq model that SynFlow looks at."""

import inspect
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.data.samples import models_in
from fairseq_prune.network.linearise import linear_copy, normalised_copy
from fairseq_prune.saliency.probe import Flow
from fairseq_prune.tasks._known import check_known
from fairseq_prune.tasks._sample import without_checkpoints

_LENGTH = 2  # two steps, so that the weights from a state to the next take part
_TOKEN = 2  # which one does not matter, but that classifiers look for </s>


def flow_of(model: nn.Module) -> Flow:
    """The copy, and how to run it on one sentence of nothing but ones.

    Raises ValueError for a model with a module whose linear copy is not known.
    """
    check_known(model)
    takes = inspect.signature(models_in(model)[0].forward).parameters
    gates: list[Tensor] = []
    if "prev_output_tokens" in takes:
        linear, gates = normalised_copy(model)
    else:
        linear = linear_copy(model)

    def run(network: Any) -> Tensor:
        with without_checkpoints(network):
            return torch.cat([_run(part, takes).flatten() for part in models_in(network)])

    return Flow(linear, run, gates)


def _run(network: Any, takes: Collection[str]) -> Tensor:
    device = next(network.parameters()).device
    tokens = torch.full((1, _LENGTH), _TOKEN, device=device)
    given: dict[str, Any] = {"src_tokens": tokens}
    if "src_lengths" in takes:
        given["src_lengths"] = torch.tensor([_LENGTH], device=device)
    if "prev_output_tokens" in takes:
        given["prev_output_tokens"] = tokens
    for head in list(getattr(network, "classification_heads", {}))[:1]:
        given |= {"features_only": True, "classification_head_name": head}
    output = network(**given)
    logits: Tensor = output[0] if isinstance(output, tuple) else output
    return logits
