"""The BERT: a HuggingFace encoder, loaded by name or from a folder."""

import importlib.util
import os
import sys
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.files.text import first_line
from fairseq_prune.pruning.refusal import Refusal

_MOST_LAYERS = 1000


class BertFeatures(nn.Module):
    """What a BERT's last layer puts out.

    A frozen BERT is no part of this module, as far as torch sees: it has no keys in checkpoints,
    and is not trained, averaged, pruned nor shared among ranks. It only moves along, between
    devices and dtypes, and never drops anything out.

    Args:
        network: of :func:`open_bert`.
        trained: whether it is part of the model after all.
    """

    def __init__(self, network: Any, trained: bool) -> None:
        super().__init__()
        self.trained = trained
        self.width = int(network.config.hidden_size)
        self.pad = int(getattr(network.config, "pad_token_id", None) or 0)
        self.network: Any
        if trained:
            self.network = network
        else:
            self.__dict__["network"] = network.eval().requires_grad_(False)

    def forward(self, bert_input: Tensor) -> tuple[Tensor, Tensor]:
        """Features (pieces, batch, width), and where is padding (batch, pieces).

        Args:
            bert_input: numbers of pieces (batch, pieces), negative for padding.
        """
        padding = bert_input < 0
        pieces = bert_input.masked_fill(padding, self.pad)
        with torch.set_grad_enabled(self.trained and torch.is_grad_enabled()):
            found = self.network(input_ids=pieces, attention_mask=(~padding).long())
        return found.last_hidden_state.transpose(0, 1), padding

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        if not self.trained:
            self.network._apply(fn)
        return self


def open_bert(name: str, layer: int) -> tuple[Any, Any]:
    """The network, without what comes after its layer ``layer``, and its tokenizer.

    Nothing of the model's own code is run: HuggingFace's classes only, weights as safetensors, or
    else by torch with weights_only.

    Args:
        name: a folder, or a name on huggingface.co.
        layer: which layer's output is wanted, 1 for the first or -1 for the last.

    Raises Refusal where it cannot be had.
    """
    if importlib.util.find_spec("transformers") is None:
        raise Refusal(
            "--arch transformer_bert_fused needs transformers, which is not installed: "
            "pip install transformers."
        )
    try:
        transformers = import_transformers()
        # what from_pretrained draws must not shift the seed of the rest
        with torch.random.fork_rng(devices=[]):
            config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
            _check_layers(config)
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            network, about = transformers.AutoModel.from_pretrained(
                name, config=config, trust_remote_code=False, output_loading_info=True
            )
            _check_whole(about["missing_keys"])
    except Exception as error:
        raise Refusal(_sentence(name, error)) from None
    _check_fits(network, tokenizer, name)
    _cut(network, name, layer)
    return network.float(), tokenizer


def _check_layers(config: Any) -> None:
    """Raise ValueError for more layers than any encoder has: each takes time before it fails."""
    count = getattr(config, "num_hidden_layers", 1)
    if type(count) is not int or not 1 <= count <= _MOST_LAYERS:
        raise ValueError(f"its config.json says {str(count)[:20]!r} layers")


def _check_whole(missing: Any) -> None:
    """Raise ValueError where weights would be drawn at random; the pooler is not used."""
    lost = sorted(name for name in missing if not name.startswith("pooler."))
    if lost:
        raise ValueError(f"it has no weights for {lost[0]}")


def import_transformers() -> Any:
    # texts are tokenised a batch at a time, in processes that fairseq forks
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        importlib.import_module("torchaudio")
    except Exception:  # OSError where it was built for another torch: fairseq never looks at it
        hidden: Any = None  # what Python takes for "not there", and transformers asks Python
        sys.modules["torchaudio"] = hidden
    try:
        transformers: Any = importlib.import_module("transformers")
        # it remembers the answer, and may have been asked before
        getattr(transformers.utils.is_torchaudio_available, "cache_clear", lambda: None)()
        transformers.utils.is_torchaudio_available()
    finally:
        if sys.modules["torchaudio"] is None:
            del sys.modules["torchaudio"]
    # it would list the heads of the pretraining, which are not used
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _sentence(name: str, error: Exception) -> str:
    return (
        f"--bert-model {name} cannot be loaded ({_reason(name, error)}): give the folder of a "
        "HuggingFace encoder, or a name of huggingface.co; where a checkpoint says so, by the flag "
        "--model-overrides \"{'bert_model': 'FOLDER'}\"."
    )


def _reason(name: str, error: Exception) -> str:
    text = str(error)
    if not os.path.isdir(name) and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        return "there is no such folder"
    if "Weights only load failed" in text:
        return "its weights hold more than tensors, which could run code; get them as safetensors"
    if "custom code" in text or "remote_code" in text:
        return "it comes with code of its own, which is not run"
    if "ignore_mismatched_sizes" in text:
        return "its weights are of other sizes than its config.json says"
    return first_line(error, 200)


def _check_fits(network: Any, tokenizer: Any, name: str) -> None:
    if getattr(network.config, "is_encoder_decoder", False):
        raise Refusal(f"--bert-model {name} is an encoder with a decoder; give an encoder alone.")
    pieces, rows = len(tokenizer), network.get_input_embeddings().num_embeddings
    # without its files, HuggingFace makes a tokenizer of special tokens alone
    if pieces <= len(tokenizer.all_special_tokens) or pieces > rows:
        raise Refusal(
            f"--bert-model {name}: its tokenizer has {pieces} pieces, and its table of embeddings "
            f"{rows} rows; the files of the tokenizer (vocab.txt or tokenizer.json) are missing "
            "or another model's."
        )


def _cut(network: Any, name: str, layer: int) -> None:
    """Take out what is not used, so that it is neither computed nor counted."""
    if getattr(network, "pooler", None) is not None:
        network.pooler = None
    # its pad row is a row like others: a checkpoint does not tell which one it is
    network.get_input_embeddings().padding_idx = None
    stack: Any = getattr(network, "encoder", None) or getattr(network, "transformer", None)
    layers = getattr(stack, "layer", None)
    if layer == -1:
        return
    if not isinstance(layers, nn.ModuleList):
        raise Refusal(f"--bert-output-layer {layer}: the layers of {name} are not known; use -1.")
    count = len(layers)
    number = layer if layer >= 0 else count + 1 + layer
    if not 1 <= number <= count:
        raise Refusal(
            f"--bert-output-layer {layer}: {name} has {count} layers, 1 to {count}, or -1 (the "
            f"last) to -{count}."
        )
    stack.layer = layers[:number]
    network.config.num_hidden_layers = number
