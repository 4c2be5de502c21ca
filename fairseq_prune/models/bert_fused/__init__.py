"""BERT-fused translation: a Transformer whose every layer also attends to a BERT's outputs.

J. Zhu, Y. Xia, L. Wu, D. He, T. Qin, W. Zhou, H. Li and T.-Y. Liu, Incorporating BERT into Neural
Machine Translation, ICLR 2020, https://arxiv.org/abs/2002.06823. Where we differ: dropout comes
once, after the two attentions are put together; BERT reads the words that the source dictionary
knows, unknown ones as its own unknown token.
"""

from fairseq_prune.models.bert_fused.model import BertFusedModel

__all__ = ["BertFusedModel"]
