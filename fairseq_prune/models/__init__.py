"""Architectures that fairseq lacks: those of papers, and networks whose layers differ in width."""

# those that need --user-dir fairseq_prune from the first training on
TRAINABLE = (
    *("see2016_lstm", "see2016_lstm_iwslt", "transformer_multi30k_de_en", "embedding_bag"),
    *("transformer_bert_fused", "transformer_bert_fused_iwslt_de_en"),
)


def register() -> None:
    """Make them known to fairseq; calling again changes nothing."""
    from fairseq_prune.models import (  # noqa: F401
        bert_fused,
        embedding_bag,
        see2016_lstm,
        shrunk_lstm,
        shrunk_transformer,
        transformer_multi30k,
    )
