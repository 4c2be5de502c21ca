"""A text classifier that averages embeddings: the network of the AG News report."""

from dataclasses import dataclass, field
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model
from torch import Tensor, nn

from fairseq_prune.pruning.refusal import Refusal

_MAX_POSITIONS = 512  # sentence_prediction's own default


@dataclass
class EmbeddingBagConfig(FairseqDataclass):
    """Sizes of the network."""

    embed_dim: int = field(default=64, metadata={"help": "width of the embeddings"})
    init_range: float = field(
        default=0.5, metadata={"help": "weights are drawn from [-RANGE, RANGE]; biases are 0"}
    )


# registering a model with a dataclass registers the architecture of the same name
@register_model("embedding_bag", dataclass=EmbeddingBagConfig)
class EmbeddingBagModel(BaseFairseqModel):
    """The mean of the tokens' embeddings, and a linear layer for each classification head.

    For fairseq's task and criterion ``sentence_prediction``. Every token but padding counts, so
    ``</s>``, which fairseq-preprocess puts at the end, is one more word of each text.
    The defaults are those of PyTorch's tutorial on text classification.
    """

    def __init__(self, cfg: Any, tokens: int, pad: int) -> None:
        super().__init__()
        if cfg.embed_dim < 1 or cfg.init_range <= 0:
            raise Refusal(
                f"--embed-dim {cfg.embed_dim} and --init-range {cfg.init_range} must be above 0."
            )
        self.args = cfg  # the criterion asks for it
        self.encoder = _Bag(tokens, cfg.embed_dim, pad)
        nn.init.uniform_(self.encoder.embed_tokens.weight, -cfg.init_range, cfg.init_range)
        nn.init.zeros_(self.encoder.embed_tokens.weight[pad].detach())
        self.classification_heads = nn.ModuleDict()

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "EmbeddingBagModel":
        """A fresh model for the task's dictionary, without heads."""
        words = task.source_dictionary
        return cls(cfg, len(words), words.pad())

    def register_classification_head(self, name: str, num_classes: int, **_: Any) -> None:
        """Add a fresh head; a head of that name goes."""
        head, size = nn.Linear(self.args.embed_dim, num_classes), self.args.init_range
        nn.init.uniform_(head.weight, -size, size)
        nn.init.zeros_(head.bias)
        self.classification_heads[name] = head

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor | None = None,
        features_only: bool = False,
        classification_head_name: str | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """The head's logits (batch, classes), or without a head the means (batch, width).

        Args:
            src_tokens: (batch, length), padded anywhere.
        """
        mean = self.encoder(src_tokens)
        if classification_head_name is None:
            return mean, None
        return self.classification_heads[classification_head_name](mean), None

    def max_positions(self) -> int:
        """The longest text, in tokens: what the task allows."""
        return int(getattr(self.args, "max_positions", None) or _MAX_POSITIONS)


class _Bag(nn.Module):
    """The mean of embeddings, without padding.

    torch's EmbeddingBag is the same in one kernel, which has no second derivative (GraSP) and hides
    from Wanda what each row is multiplied by.
    """

    def __init__(self, tokens: int, width: int, pad: int) -> None:
        super().__init__()
        self.pad = pad
        self.embed_tokens = nn.Embedding(tokens, width, padding_idx=pad)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, length) to (batch, width); of nothing but padding, zeros."""
        words = tokens.ne(self.pad).unsqueeze(-1)  # (batch, length, 1)
        embedded = self.embed_tokens(tokens)
        return (embedded * words).sum(dim=1) / words.sum(dim=1).clamp_min(1)
