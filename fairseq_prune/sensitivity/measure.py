"""Sensitivity: what pruning one weight class costs while all others stay dense.

See, Luong and Manning 2016, figure 4: perplexity after the whole model's decision is carried out in
one class only. The checkpoint is opened once, and each class is pruned in the live model and put
back.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fairseq_prune import __version__
from fairseq_prune.checkpoints.apply import Views, apply_recipe, rules_of
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.evaluation.evaluate import LazyDecoder
from fairseq_prune.evaluation.scores import perplexity, score
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.texts import texts_of
from fairseq_prune.files.text import this_command
from fairseq_prune.files.writing import file_digest
from fairseq_prune.maths.structure import Units
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.summary import ClassRow, by_class
from fairseq_prune.sensitivity.sensitivity_file import FORMAT, KIND, Row, Unfinished
from fairseq_prune.tasks.opening import open_checkpoint
from fairseq_prune.tasks.own import read_task


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be measured.

    Args:
        checkpoint: a dense one.
        recipe: checked; decides for the whole model, or (``each``) how a class is pruned.
        each: sparsities of each class, whatever the others would lose; empty: the recipe's own.
        decoding: its ``gen_subset`` is what perplexity and BLEU are of.
        bleu: whether to translate too.
        tags: what else the result shall say, such as the model's name.
    """

    checkpoint: str
    recipe: Recipe
    each: tuple[float, ...] = ()
    decoding: Settings
    bleu: bool = False
    tags: Mapping[str, str]

    @property
    def recipes(self) -> list[Recipe]:
        """The prunings of which each class's part is tried."""
        return [replace(self.recipe, sparsity=s) for s in self.each] or [self.recipe]

    def head(self) -> Row:
        """What the result says of itself; what decides the numbers is all in it."""
        recipe = self.recipe.resolved
        decides = {
            k: v for k, v in self.recipe.settings.items() if v is not None and k != "sparsity"
        }
        return {
            "kind": KIND,
            "format": FORMAT,
            "checkpoint": self.checkpoint,
            "sha256": file_digest(self.checkpoint),
            "model": self.tags.get("model"),
            "tags": dict(self.tags),
            "scheme": None if self.each else recipe.scheme,
            "saliency": recipe.saliency,
            "sparsity": None if self.each else recipe.sparsity,
            "subset": self.decoding.gen_subset,
            "dense": None,
            "rows": [],
            "command": this_command(),
            "version": __version__,
            "settings": {
                "recipe": decides,
                "each": list(self.each),
                "with_bleu": self.bleu,
                "decoding": self.decoding.deciding(),
                "data_digest": self.decoding.data_digest(),
            },
        }


def measure(
    asked: Asked, views: Views, output: str | None, force: bool, tick: Callable[[str, int], None]
) -> Row:
    """The whole result, as ``output`` holds it; what is in that file already is not measured again.

    Args:
        views: what the recipe's saliency looks at beside the weights.
        output: written anew after each class.
        force: replace the file whatever is in it.
        tick: called after each measurement with what was measured and how many there will be.

    Raises ValueError where the checkpoint, the data or what is in the file do not go with this.
    """
    source = _open(asked)
    found = Unfinished(asked.head(), output, force)
    meter, recipes = _Meter(asked, source), asked.recipes
    labels = list(dict.fromkeys(source.classes.values()))
    count = 1 + len(recipes) * len(labels)
    if found.dense is None:
        found.set_dense(meter({}))
    tick("dense", count)
    for recipe in recipes:
        applied = apply_recipe(source, recipe, views)
        for row in by_class(applied.masks, source.classes, applied.record.extremes):
            if not found.has(row.name, row.removed):
                part = {n: m for n, m in applied.masks.items() if source.classes[n] == row.name}
                found.add(_row(row, meter(part), found.dense), labels)
            tick(row.name, count)
    return found.content


def _open(asked: Asked) -> Opened:
    if isinstance(asked.recipe.groups(), Units):
        raise ValueError(
            f"--prune-structure {asked.recipe.structure} prunes units, which lie in several "
            "classes; sensitivity takes weight, row or block:RxC."
        )
    asked.decoding.check()
    _check_task(asked)
    recipe = asked.recipe
    source = open_checkpoint(asked.checkpoint, recipe.resolved.classes, recipe.excluded)
    unnamed = rules_of(source, recipe.resolved.classes)
    if unnamed is not None:
        logging.getLogger("fairseq_prune").warning(unnamed)
    if source.masks is not None:
        raise ValueError(
            f"{source.path} is pruned already; sensitivity prunes one class of a dense model at a "
            "time."
        )
    return source


def _check_task(asked: Asked) -> None:
    own = read_task(asked.checkpoint, asked.decoding.model_overrides)
    asked.decoding.check_task(own, "sensitivity")
    if asked.bleu:
        own.check_translates("--bleu")
        if own.pairs and own.pair(asked.decoding.given()) is None:
            raise ValueError(
                f"{asked.checkpoint} is of several language pairs ({', '.join(own.pairs)}); name "
                "the one that --bleu is of with -s and -t."
            )


class _Meter:
    """Measures the model with some of its weights removed."""

    def __init__(self, asked: Asked, source: Opened) -> None:
        self._asked, self._source = asked, source
        self._decoder = LazyDecoder(asked.decoding)

    def __call__(self, masks: Mapping[str, Tensor]) -> Row:
        asked, decoder = self._asked, self._decoder()
        if decoder.model is None or asked.bleu:  # a model that has translated is changed for good
            decoder.open(asked.checkpoint)
            for model in decoder.live:
                _forget_copies(model)
        with ExitStack() as stack:
            for model in decoder.live:
                stack.enter_context(pruned(model, self._source.weights, masks))
            nll = decoder.nll(asked.decoding.gen_subset)
            bleu = self._bleu() if asked.bleu else None
        return {
            "nll": nll if math.isfinite(nll) else None,
            "ppl": perplexity(nll),
            "bleu": bleu,
        }

    def _bleu(self) -> float:
        settings, decoder = self._asked.decoding, self._decoder()
        made = decoder.translate(settings.gen_subset)
        texts = texts_of(settings, made, decoder.languages)
        return score(texts.hypotheses, texts.references).bleu


def _forget_copies(model: nn.Module) -> None:
    """Have fairseq's encoder compute with its weights, not with copies made when it was loaded."""
    for module in model.modules():
        if hasattr(module, "can_use_fastpath"):
            module.can_use_fastpath = False  # type: ignore[assignment]


@contextmanager
def pruned(model: nn.Module, weights: Weights, masks: Mapping[str, Tensor]) -> Iterator[None]:
    """The live model with what the masks remove at zero; afterwards bit for bit as before.

    Args:
        weights: the checkpoint's, whose names the masks have.

    Raises ValueError where a weight of the checkpoint is none of the model.
    """
    places = _places(model, weights, masks)
    before = [tensor.detach().clone() for tensor, _ in places]
    with torch.no_grad():
        for tensor, mask in places:
            tensor.masked_fill_(~mask.to(tensor.device), 0.0)
    try:
        yield
    finally:
        with torch.no_grad():
            for (tensor, _), old in zip(places, before, strict=True):
                tensor.copy_(old)


def _places(
    model: nn.Module, weights: Weights, masks: Mapping[str, Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """The live tensors under every name of each weight, each once, with their masks."""
    live = model.state_dict(keep_vars=True)
    found: dict[tuple[int, tuple[int, ...]], tuple[Tensor, Tensor]] = {}
    for name, mask in masks.items():
        for alias in weights[name].aliases:
            if _is_of_another_pair(model, alias):
                continue
            tensor = live.get(alias)
            if tensor is None or tensor.shape != mask.shape:
                raise ValueError(
                    f"{alias} of the checkpoint is no weight of that shape in the model that "
                    "fairseq makes of it, so it cannot be pruned in place; leave it out with "
                    "--prune-exclude."
                )
            found.setdefault((tensor.data_ptr(), tuple(tensor.shape)), (tensor, mask))
    return list(found.values())


def _is_of_another_pair(model: nn.Module, name: str) -> bool:
    """Whether a weight is of a language pair that a model, made to translate one pair, lacks."""
    pairs = getattr(model, "models", None)
    models, _, rest = name.partition(".")
    if not isinstance(pairs, nn.ModuleDict) or models != "models":
        return False
    return rest.partition(".")[0] not in pairs


def _row(row: ClassRow, now: Row, dense: Row) -> Row:
    changes = {
        f"{name}_change": None if None in (now[name], dense[name]) else now[name] - dense[name]
        for name in ("ppl", "bleu")
    }
    return {
        "class": row.name,
        "weights": row.prunable,
        "removed": row.removed,
        "sparsity": row.sparsity,
        "largest_removed": row.largest_removed,
        "nll": now["nll"],
        "ppl": now["ppl"],
        "ppl_change": changes["ppl_change"],
        "bleu": now["bleu"],
        "bleu_change": changes["bleu_change"],
    }
