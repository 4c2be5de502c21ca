"""The architecture ``transformer_bert_fused``."""

import logging
import os
from argparse import ArgumentParser
from typing import Any

from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import (
    TransformerModel,
    base_architecture,
    transformer_iwslt_de_en,
)
from torch import Tensor

from fairseq_prune.models.bert_fused.bert import BertFeatures, open_bert
from fairseq_prune.models.bert_fused.stacks import fuse_stacks_
from fairseq_prune.models.bert_fused.text import (
    PIECES,
    BertReader,
    most_pieces,
    text_settings,
)
from fairseq_prune.models.bert_fused.warm_start import load_plain_
from fairseq_prune.pruning.refusal import Refusal

logger = logging.getLogger("fairseq_prune")

# what the layers do not go together with
_WITHOUT = (
    "checkpoint_activations",
    "cross_self_attention",
    "no_cross_attention",
    "offload_activations",
)


@register_model("transformer_bert_fused")
class BertFusedModel(TransformerModel):
    """fairseq's Transformer, its layers attending to a BERT as well (Zhu et al. 2020)."""

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """fairseq's flags of the Transformer, and those of the fusion."""
        super().add_args(parser)
        parser.add_argument(
            "--bert-model", metavar="NAME_OR_FOLDER", help="HuggingFace encoder and tokenizer"
        )
        parser.add_argument(
            "--bert-output-layer", type=int, metavar="K",
            help="the layer that is attended to, 1 for the first, -1 (default) for the last",
        )  # fmt: skip
        parser.add_argument(
            "--bert-dropnet", type=float, metavar="P",
            help="how often, in training, a layer takes one of its two attentions alone (1.0)",
        )  # fmt: skip
        parser.add_argument(
            "--bert-text", metavar="HOW",
            help=f"how tokens become text for BERT: {', '.join(PIECES)}; +moses joins Moses tokens",
        )  # fmt: skip
        parser.add_argument(
            "--warmup-from-nmt", metavar="FILE",
            help="checkpoint of a plain Transformer that training begins with",
        )  # fmt: skip
        # the prefix prune_ is that of the task's settings
        parser.add_argument(
            "--prune-bert", dest="bert_prune", action="store_true",
            help="make BERT part of the model: trained, pruned and saved with the rest",
        )  # fmt: skip

    @classmethod
    def build_model(cls, args: Any, task: Any) -> "BertFusedModel":
        """fairseq's model, fused with a BERT. Raises Refusal where flags make no sense."""
        bert_defaults(args)
        _check(args)
        language = getattr(getattr(task, "cfg", None), "source_lang", None)
        settings = text_settings(args.bert_model, args.bert_text, language)
        model: BertFusedModel = super().build_model(args, task)
        model.args = args  # with our settings in it
        network, tokenizer = open_bert(args.bert_model, args.bert_output_layer)
        reader = BertReader(
            task.source_dictionary, tokenizer, settings, most_pieces(tokenizer, network)
        )
        fuse_stacks_(model, BertFeatures(network, args.bert_prune), reader, args.bert_dropnet)
        return model

    @property
    def source_reader(self) -> BertReader:
        """What makes ``bert_input`` of source tokens: tasks do so while a batch is being made."""
        reader: BertReader = self.encoder.reader
        return reader

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor,
        return_all_hiddens: bool = True,
        features_only: bool = False,
        alignment_layer: int | None = None,
        alignment_heads: int | None = None,
        bert_input: Tensor | None = None,
    ) -> Any:
        """As fairseq's; ``bert_input`` is None where it is to be read off the tokens."""
        encoded = self.encoder(
            src_tokens,
            src_lengths=src_lengths,
            return_all_hiddens=return_all_hiddens,
            bert_input=bert_input,
        )
        return self.decoder(
            prev_output_tokens,
            encoder_out=encoded,
            features_only=features_only,
            alignment_layer=alignment_layer,
            alignment_heads=alignment_heads,
            src_lengths=src_lengths,
            return_all_hiddens=return_all_hiddens,
        )

    def warm_start(self) -> None:
        """Begin with the weights that --warmup-from-nmt names; tasks ask for it in a fresh run.

        Raises ValueError where the file does not fit.
        """
        path = self.args.warmup_from_nmt
        if path:
            load_plain_(self, path, self.args)
            logger.info("begun with the weights of %s; BERT's attentions are new", path)


def _check(args: Any) -> None:
    if not args.bert_model:
        raise Refusal(
            "--arch transformer_bert_fused needs --bert-model: a folder with a HuggingFace "
            "encoder, or a name such as bert-base-uncased."
        )
    if not 0.0 <= args.bert_dropnet <= 1.0:
        raise Refusal(f"--bert-dropnet {args.bert_dropnet} is outside [0, 1]: it is a probability.")
    for name in _WITHOUT:
        if getattr(args, name, False):
            flag = "--" + name.replace("_", "-")
            raise Refusal(f"{flag} does not go with --arch transformer_bert_fused; leave it out.")
    if os.path.isdir(args.bert_model):
        args.bert_model = os.path.abspath(args.bert_model)  # commands are run from other folders


def bert_defaults(args: Any) -> None:
    """Our settings, where they are not given."""
    for name, default in (
        ("bert_model", None), ("bert_output_layer", -1), ("bert_dropnet", 1.0),
        ("bert_text", "none"), ("warmup_from_nmt", None), ("bert_prune", False),
    ):  # fmt: skip
        setattr(args, name, getattr(args, name, default))


@register_model_architecture("transformer_bert_fused", "transformer_bert_fused")
def transformer_bert_fused(args: Any) -> None:
    """fairseq's defaults, and the paper's drop-net."""
    bert_defaults(args)
    base_architecture(args)


@register_model_architecture("transformer_bert_fused", "transformer_bert_fused_iwslt_de_en")
def transformer_bert_fused_iwslt_de_en(args: Any) -> None:
    """The paper's size for IWSLT'14: fairseq's transformer_iwslt_de_en."""
    bert_defaults(args)
    transformer_iwslt_de_en(args)
