"""Programs that translate with a model: fairseq, fairseq with sparse matrices, CTranslate2."""

import copy
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports import ctranslate
from fairseq_prune.exports.forms import read_folder
from fairseq_prune.tasks.own import OwnTask, members_of

BY_FAIRSEQ = ("fairseq", "fairseq-csr")  # the second: linear layers as sparse matrices
BY_CTRANSLATE2 = "ctranslate2"  # in float32; with a hyphen and a quantization, in that

Batches = Sequence[Sequence[int]]  # the numbers of the sentences


class Engine(Protocol):
    """Translates batches of sentences of one test set."""

    def translate(self, batches: Batches, beam: int) -> int:
        """Translate them; gives how many tokens came out, ends of sentences included."""


class Fairseq:
    """fairseq's task, model and generator.

    Args:
        checkpoint: one, or an ensemble with colons between its files.
        sparse: whether linear layers multiply by sparse matrices.

    Raises ValueError where the checkpoint does not translate, or between which languages is open.
    """

    def __init__(self, checkpoint: str, settings: Settings, sparse: bool = False) -> None:
        self._decoder = Decoder(settings)
        self._decoder.open(checkpoint)
        if not self._decoder.translates:
            raise ValueError(
                f"{checkpoint} has no speed of translation: {self._decoder.why_no_bleu}."
            )
        self._task, self._models = self._decoder.task, self._decoder.translators
        self._data = self._decoder.prepare(settings.gen_subset)
        self._data.ordered_indices()  # data of several pairs have no sentences before
        self._generators: dict[int, Any] = {}
        for model in self._models if sparse else ():
            with_sparse_layers_(model)

    @property
    def data(self) -> Any:
        """The test set."""
        return self._data

    @property
    def own(self) -> OwnTask:
        """The checkpoint's task."""
        own: OwnTask = self._decoder.own
        return own

    @cached_property
    def sentences(self) -> list[list[str]]:
        """The source sentences as their tokens, without their ends."""
        return sentences_of(self._task, self._data)

    def translate(self, batches: Batches, beam: int) -> int:
        """As ``fairseq-generate`` does."""
        generator = self._generators.get(beam)
        if generator is None:
            config = copy.deepcopy(self._decoder.cfg.generation)
            config.beam = beam
            generator = self._generators[beam] = self._task.build_generator(self._models, config)
        count = 0
        for batch in batches:
            sample = self._data.collater([self._data[number] for number in batch])
            found = self._task.inference_step(generator, self._models, sample)
            count += sum(len(hypotheses[0]["tokens"]) for hypotheses in found)
        return count


def sentences_of(task: Any, data: Any) -> list[list[str]]:
    """The source sentences of a data set as their tokens, without their ends."""
    symbols = task.source_dictionary.symbols
    return [
        [symbols[int(token)] for token in data[number]["source"][:-1]]
        for number in range(len(data))
    ]


class CTranslate2:
    """A folder of CTranslate2's.

    Args:
        sentences: source tokens of each.
    """

    def __init__(
        self, folder: str, sentences: Sequence[list[str]], most: int, threads: int
    ) -> None:
        import ctranslate2

        self._sentences, self._most = sentences, most
        self._shortlist = read_folder(folder).has_shortlist
        self._translator: Any = ctranslate2.Translator(
            folder, device="cpu", inter_threads=1, intra_threads=threads
        )

    def translate(self, batches: Batches, beam: int) -> int:
        """The same search, the same limit on the length."""
        count = 0
        for batch in batches:
            found = self._translator.translate_batch(
                [self._sentences[number] for number in batch],
                beam_size=beam,
                max_decoding_length=self._most,
                max_input_length=0,
                use_vmap=self._shortlist,
            )
            count += sum(len(result.hypotheses[0]) + 1 for result in found)
        return count


class SparseLinear(nn.Module):
    """A linear layer whose matrix is stored without its zeros."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():  # that sparse tensors are in beta
            warnings.simplefilter("ignore")
            self.matrix = layer.weight.detach().to_sparse_csr()
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        rows = x.reshape(-1, x.shape[-1])
        out = (self.matrix @ rows.T).T.reshape(*x.shape[:-1], self.matrix.shape[0])
        return out if self.bias is None else out + self.bias


def with_sparse_layers_(model: nn.Module) -> None:
    """Replace every linear layer of a model by a sparse one."""
    module: Any
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, SparseLinear(child))
        if hasattr(
            module, "_set_skip_embed_dim_check"
        ):  # attention: ask the layers, as decoding does
            module._set_skip_embed_dim_check()
        if hasattr(module, "can_use_fastpath"):
            module.can_use_fastpath = False


def build(
    kind: str, checkpoint: str, settings: Settings, stock: Fairseq, folder: Path, threads: int
) -> Engine:
    """An engine for a checkpoint.

    Args:
        kind: one of `BY_FAIRSEQ`, or `BY_CTRANSLATE2` with a quantization.
        stock: fairseq with the same checkpoint.
        folder: for what has to be written.

    Raises ValueError where the program cannot take the model.
    """
    if kind == "fairseq":
        return stock
    if kind == "fairseq-csr":
        return Fairseq(checkpoint, settings, sparse=True)
    if len(members_of(checkpoint)) > 1:
        raise ValueError("an ensemble is several models, and CTranslate2 has one at a time.")
    if stock.own.name not in (None, "translation"):
        raise ValueError(
            f"the task {stock.own.name} decodes in a way of its own, and CTranslate2 in another."
        )
    quantization = kind.removeprefix(BY_CTRANSLATE2).removeprefix("-") or "float32"
    ctranslate.convert(checkpoint, settings.data, str(folder / kind), quantization, force=True)
    return CTranslate2(str(folder / kind), stock.sentences, settings.max_len_b, threads)
