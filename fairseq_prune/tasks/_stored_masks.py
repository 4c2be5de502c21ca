"""The masks that a training begins with, as its own model reads them."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import nn

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.mask_layout import AsLoaded, as_loaded, fits
from fairseq_prune.checkpoints.unmasked import trained_dense
from fairseq_prune.masks.state import Masks
from fairseq_prune.network.weights import Weight, of_module
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks._ranks import from_first_rank
from fairseq_prune.tasks._start import Start
from fairseq_prune.tasks.skeleton import as_loaded as as_fairseq_loads

logger = logging.getLogger("fairseq_prune")


def loading(model: nn.Module, settings: Any) -> AsLoaded:
    """What a live model makes of a file's tensors before it takes them.

    Args:
        settings: the model's own.
    """
    return lambda state: as_fairseq_loads(model, state, settings)


def take_masks(
    masks: Masks, start: Start, model: nn.Module, recipe: Recipe, load: AsLoaded
) -> tuple[dict[str, Weight], Masks]:
    """The weights of a model, frozen ones that have a mask among them, and the masks for them.

    Args:
        masks: as the file has them.
        recipe: of the run.
        load: of :func:`loading`.

    Raises ValueError where the masks are another model's, or a frozen weight would be pruned on.
    """
    origin = str(start.path)
    classes = recipe.resolved.classes
    weights = of_module(model, classes, recipe.excluded, frozen=masks)
    if not fits(masks, weights):

        def converted(stored: Masks = masks) -> dict[str, Any]:
            return as_loaded(stored, weights, storage.load(origin)["model"], load).pack()

        masks = Masks.unpack(converted() if start.by_rank else from_first_rank(converted), origin)
    storage.check_fits(masks, {name: w.tensor for name, w in weights.items()}, origin)
    _look_at_frozen(weights, recipe, origin)
    loose = trained_dense(weights, masks, recipe)
    if loose is not None:
        logger.warning("%s has matrices %s: they are trained dense.", origin, loose)
    return weights, masks


def _look_at_frozen(weights: Mapping[str, Weight], recipe: Recipe, origin: str) -> None:
    frozen = [name for name, weight in weights.items() if not weight.tensor.requires_grad]
    if not frozen:
        return
    names = ", ".join(frozen)
    if recipe.scheme is not None:
        raise ValueError(
            f"{origin} has masks of {names}, which these flags freeze: a frozen matrix cannot be "
            "pruned further. Leave out the flag that freezes it, or the prune flags, to train "
            "under the masks that are there."
        )
    logger.info("frozen under its mask: %s", names)
