"""The linear copy of a fairseq model that SynFlow looks at."""

import inspect
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.data.samples import models_in
from fairseq_prune.network.linearise import linear_copy, normalised_copy
from fairseq_prune.saliency.probe import Flow
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


_NONE: tuple[str, ...] = ()
_MATRIX = ("weight", "bias")
_COPIES = tuple(  # fairseq's, for its fast path, which a linear copy does not take
    f"{part}_{kind}" for part in ("in_proj", "out_proj", "fc1", "fc2") for kind in _MATRIX
)
_TRANSFORMER = "fairseq.models.transformer.transformer_"
_LAYER = "fairseq.modules.transformer_layer.Transformer"

# by class, the names of the parameters of its own that it may have
KNOWN: Mapping[str, tuple[str, ...]] = {
    **{
        f"torch.nn.modules.{name}": _NONE
        for name in (
            "container.ModuleDict", "container.ModuleList", "container.Sequential",
            "linear.Identity", "dropout.Dropout", "activation.GELU", "activation.ReLU",
            "activation.Sigmoid", "activation.Softmax", "activation.Tanh",
        )
    },
    "torch.nn.modules.linear.Linear": _MATRIX,
    "torch.nn.modules.sparse.Embedding": ("weight",),
    "torch.nn.modules.normalization.LayerNorm": _MATRIX,
    "torch.nn.modules.rnn.LSTM": ("weight_", "bias_"),
    "torch.nn.modules.rnn.LSTMCell": ("weight_", "bias_"),
    "fairseq.modules.fairseq_dropout.FairseqDropout": _NONE,
    "fairseq.modules.layer_drop.LayerDropModuleList": _NONE,
    "fairseq.modules.learned_positional_embedding.LearnedPositionalEmbedding": ("weight",),
    "fairseq.modules.multihead_attention.MultiheadAttention": ("bias_k", "bias_v"),
    "fairseq.modules.sinusoidal_positional_embedding.SinusoidalPositionalEmbedding": _NONE,
    f"{_LAYER}EncoderLayer": _COPIES,
    f"{_LAYER}EncoderLayerBase": _COPIES,
    f"{_LAYER}DecoderLayer": _NONE,
    f"{_LAYER}DecoderLayerBase": _NONE,
    f"{_TRANSFORMER}encoder.TransformerEncoder": _NONE,
    f"{_TRANSFORMER}encoder.TransformerEncoderBase": _NONE,
    f"{_TRANSFORMER}decoder.TransformerDecoder": _NONE,
    f"{_TRANSFORMER}decoder.TransformerDecoderBase": _NONE,
    f"{_TRANSFORMER}base.TransformerModelBase": _NONE,
    f"{_TRANSFORMER}legacy.TransformerModel": _NONE,
    "fairseq.models.transformer_align.TransformerAlignModel": _NONE,
    "fairseq.models.transformer_lm.TransformerLanguageModel": _NONE,
    "fairseq.models.fairseq_model.FairseqEncoderDecoderModel": _NONE,
    "fairseq.models.multilingual_transformer.MultilingualTransformerModel": _NONE,
    "fairseq.models.bart.model.BARTModel": _NONE,
    "fairseq.models.bart.model.BARTClassificationHead": _NONE,
    "fairseq.models.roberta.model.RobertaModel": _NONE,
    "fairseq.models.roberta.model.RobertaEncoder": _NONE,
    "fairseq.models.roberta.model.RobertaLMHead": _MATRIX,
    "fairseq.models.roberta.model.RobertaClassificationHead": _NONE,
    "fairseq.models.lstm.LSTMModel": _NONE,
    "fairseq.models.lstm.LSTMEncoder": _NONE,
    "fairseq.models.lstm.LSTMDecoder": _NONE,
    "fairseq.models.lstm.AttentionLayer": _NONE,
    "fairseq.models.lstm_lm.LSTMLanguageModel": _NONE,
    **{
        f"fairseq_prune.models.{name}": _NONE
        for name in (
            "embedding_bag.EmbeddingBagModel", "embedding_bag._Bag",
            "see2016_lstm.See2016LSTMModel", "see2016_lstm._ReversedEncoder",
            "see2016_lstm._Decoder", "see2016_lstm.DotAttention",
            "shrunk_transformer.ShrunkTransformerModel", "shrunk_transformer._Attention",
            "bert_fused.model.BertFusedModel", "bert_fused.stacks.FusedEncoder",
            "bert_fused.stacks.FusedDecoder", "bert_fused.attention.FusedAttention",
            "bert_fused.bert.BertFeatures",
        )
    },
}  # fmt: skip


def name_of(kind: type) -> str:
    """The name by which a class is known, or is not."""
    return f"{kind.__module__}.{kind.__qualname__}"


def check_known(model: nn.Module) -> None:
    """Raises ValueError that names a module whose linear copy is not known."""
    whole = type(model).__name__
    if any(name.startswith("encoder.bert.") for name, _ in model.named_parameters()):
        whole += " with --prune-bert"  # layers of HuggingFace's
    if name_of(type(model)) not in KNOWN or whole.endswith("bert"):
        raise ValueError(
            f"--prune-saliency synflow does not know how to run a {whole}; choose another saliency."
        )
    for name, module in model.named_modules():
        own = KNOWN.get(name_of(type(module)))
        if own is None:
            raise ValueError(_unknown(f"{name}, a {type(module).__name__}, is"))
        for parameter, _ in module.named_parameters(recurse=False):
            if not parameter.startswith(own):
                raise ValueError(_unknown(f"{name}.{parameter} is"))


def _unknown(what: str) -> str:
    return (
        "--prune-saliency synflow makes a linear copy of the model, and does not know what "
        f"{what} in one; choose another saliency."
    )
