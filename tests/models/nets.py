"""fairseq's models with random weights, as checkpoints, and what they compute."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

WORDS = 20
LSTM = (
    "--arch lstm --encoder-embed-dim 8 --decoder-embed-dim 8 --decoder-out-embed-dim 8 "
    "--encoder-hidden-size 6 --decoder-hidden-size 6 "
)
TRANSFORMER = (
    "--arch transformer --encoder-embed-dim 16 --decoder-embed-dim 16 --encoder-ffn-embed-dim 12 "
    "--decoder-ffn-embed-dim 12 --encoder-attention-heads 4 --decoder-attention-heads 4 "
    "--encoder-layers 2 --decoder-layers 2 "
)
BOTH = "--encoder-bidirectional --decoder-hidden-size 12 "
NETS = {
    "lstm": LSTM,
    "lstm, both ways": LSTM + BOTH,
    "lstm, 3 layers, both ways": LSTM + BOTH + "--encoder-layers 3 --decoder-layers 3",
    "lstm, 2 layers": LSTM + "--encoder-layers 2 --decoder-layers 2",
    "lstm, projected": LSTM + "--decoder-hidden-size 10",
    "lstm, projected, 2 layers, both ways": LSTM
    + "--encoder-bidirectional --encoder-layers 2 --decoder-layers 2",
    "lstm, no attention": LSTM + "--decoder-attention 0",
    "lstm, no attention, tied": LSTM
    + "--decoder-attention 0 --decoder-hidden-size 8 --encoder-hidden-size 8 "
    "--share-decoder-input-output-embed",
    "lstm, no layer before the softmax": LSTM + "--decoder-out-embed-dim 6",
    "lstm, tied": LSTM + "--share-decoder-input-output-embed",
    "lstm, shared": LSTM + "--share-all-embeddings",
    "lstm, shared, no layer before the softmax": LSTM
    + "--share-all-embeddings --encoder-hidden-size 8 --decoder-hidden-size 8",
    "transformer": TRANSFORMER,
    "transformer, norm first, shared": TRANSFORMER
    + "--encoder-normalize-before --decoder-normalize-before --share-all-embeddings",
    "transformer, heads of 4 and of 8": TRANSFORMER + "--decoder-attention-heads 2",
    "transformer, wider encoder": TRANSFORMER + "--encoder-embed-dim 24",
    "transformer, no cross-attention, layers dropped": TRANSFORMER
    + "--no-cross-attention --encoder-layerdrop 0.9 --decoder-layerdrop 0.9",
    "lightconv": TRANSFORMER.replace("transformer", "lightconv")
    + "--encoder-kernel-size-list [3,3] --decoder-kernel-size-list [3,3] --encoder-conv-dim 16 "
    "--decoder-conv-dim 16",
    "transformer, gelu, learned positions": TRANSFORMER
    + "--activation-fn gelu --encoder-learned-pos --decoder-learned-pos",
}


def task() -> Any:
    """What a model is built for."""
    from fairseq.data import Dictionary

    words = Dictionary()
    for number in range(WORDS - len(words)):
        words.add_symbol(f"w{number}")
    return SimpleNamespace(source_dictionary=words, target_dictionary=words)


def settings(flags: str) -> Namespace:
    """fairseq's settings for these flags."""
    from fairseq import options

    import fairseq_prune

    fairseq_prune.register()
    words = ["data", "--criterion", "cross_entropy", *flags.split()]
    args = options.parse_args_and_arch(options.get_training_parser(), words)
    args.max_source_positions = args.max_target_positions = 16
    args._name = args.arch
    return args


def build(args: Namespace) -> Any:
    """The model of these settings, as fairseq builds it when it loads a file; in float64."""
    from fairseq import models

    return models.build_model(Namespace(**vars(args)), task()).double().eval()


def checkpoint(args: Namespace, model: Any) -> dict[str, Any]:
    """A checkpoint of a model."""
    return {
        "args": None,
        "cfg": {"model": args, "task": {"_name": "translation"}},
        "model": model.state_dict(),
        "extra_state": {"epoch": 1},
        "task_state": {},
        "last_optimizer_state": {"state": {}, "param_groups": []},
    }


def net(name: str, seed: int = 1) -> tuple[Namespace, Any]:
    """A network of `NETS` with random weights, none of them zero: pad rows and biases included."""
    args = settings(NETS[name])
    model, draw = build(args), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw).double() * 0.5)
    return args, model


def save(path: Path, content: dict[str, Any]) -> str:
    """The path of a file with this content."""
    torch.save(content, path)
    return str(path)


def load(content: dict[str, Any]) -> Any:
    """The model in a checkpoint, built by its own settings alone."""
    args = content["cfg"]["model"]
    model = build(args)
    model.load_state_dict(dict(content["model"]), strict=True, model_cfg=args)
    return model.double().eval()


def batch() -> tuple[Tensor, Tensor]:
    """Sources with padding, and targets."""
    draw = torch.Generator().manual_seed(2)
    source = torch.randint(4, WORDS, (3, 7), generator=draw)
    source[:, -1] = 2
    source[1, :2], source[2, :4] = 1, 1
    return source, torch.randint(4, WORDS, (3, 5), generator=draw)


def logits(model: Any) -> Tensor:
    """What a model computes for the batch: (sentences, words, vocabulary)."""
    source, target = batch()
    with torch.no_grad():
        found: Tensor = model(source, (source != 1).sum(dim=1), target)[0]
    return found
