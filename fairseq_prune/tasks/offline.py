"""What data-driven saliencies need of a checkpoint that is pruned without training."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from fairseq import checkpoint_utils, tasks, utils
from fairseq.data import data_utils
from torch import Tensor

from fairseq_prune import models
from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.apply import Views
from fairseq_prune.checkpoints.kept_layers import KEEPING, out_of
from fairseq_prune.network.layers import leave_out_
from fairseq_prune.network.probing import Sample
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.refusal import Refusal, reason_of
from fairseq_prune.saliency.probe import Flow
from fairseq_prune.tasks._flow import flow_of
from fairseq_prune.tasks._sample import Told, sampler
from fairseq_prune.tasks._start import warm_start
from fairseq_prune.tasks.loaded import config_of, load, misfits_named
from fairseq_prune.tasks.opening import import_plugin
from fairseq_prune.tasks.own import Given, overrides_of, read_task


@dataclass(frozen=True)
class Network:
    """A checkpoint's model, as saliencies look at it.

    Args:
        sampler: the function (how many batches, seed) -> Sample, on its own task's data; the
            loss is the criterion that the model was trained with.
        flow: makes the linear copy.
    """

    sampler: Callable[[int, int], Sample]
    flow: Callable[[], Flow]


def open_network(checkpoint: str, given: Given, told: Told) -> Network:
    """The model in a checkpoint, under its own task, with that task's training data.

    Args:
        checkpoint: a fairseq checkpoint.
        given: the binarised data, as fairseq-train takes them, and what else flags say.
        told: is told how many batches of how many are scored, every ten seconds or so.

    Raises ValueError where fairseq cannot open one or the other.
    """
    import_plugin(given.user_dir)
    own = read_task(checkpoint, given.model_overrides)
    try:
        overrides, out = overrides_of(own, given), out_of(storage.load(checkpoint))
        if out:  # masks have the names of the whole network
            overrides |= dict.fromkeys(KEEPING)
        loaded = load([checkpoint], overrides)
        leave_out_(loaded.models[0], out)
        task, saved = loaded.task, loaded.saved
        task.load_dataset(saved.dataset.train_subset, combine=False, epoch=1)
        with data_utils.numpy_seed(saved.common.seed):  # several zipped keep their first order
            task.dataset(saved.dataset.train_subset).ordered_indices()
        criterion = task.build_criterion(saved.criterion)
    except Exception as error:
        raise _cannot_open(checkpoint, given.data, error) from None
    model = loaded.models[0].cuda() if torch.cuda.is_available() else loaded.models[0]
    make = sampler(task, model, criterion, saved.dataset, told)
    return Network(make, lambda: flow_of(model))


def fresh_weights(checkpoint: str, given: Given, seed: int) -> dict[str, Tensor]:
    """A state dict of the checkpoint's model before training: that of ``fairseq-train --seed``.

    Args:
        given: the binarised data, and what else flags say.

    Raises ValueError where fairseq cannot make it.
    """
    import_plugin(given.user_dir)
    own = read_task(checkpoint, given.model_overrides)
    try:
        overrides = overrides_of(own, given)
        state = checkpoint_utils.load_checkpoint_to_cpu(checkpoint, overrides)
        saved = config_of(state)
        # as fairseq_cli.train does, in this order
        np.random.seed(seed)
        utils.set_torch_seed(seed)
        task = tasks.setup_task(saved.task)
        model = task.build_model(saved.model)
        warm_start(model)  # the folder of the run may be there, so that the task did not
        fresh = {name: value.clone() for name, value in model.state_dict().items()}
        with misfits_named(state["model"], task):  # do they fit?
            model.load_state_dict(state["model"], strict=True, model_cfg=saved.model)
    except Exception as error:
        raise _cannot_open(checkpoint, given.data, error) from None
    return fresh


def _cannot_open(checkpoint: str, data: str, error: Exception) -> ValueError:
    if isinstance(error, Refusal):
        return error
    return ValueError(f"fairseq cannot open {checkpoint} with --data {data}: {reason_of(error)}.")


def views_of(checkpoint: str, given: Given, recipe: Recipe, told: Told) -> Views:
    """What a recipe's saliency looks at beside the weights of a checkpoint.

    Args:
        given: the data, and what else flags say of the checkpoint's task.
        told: see :func:`open_network`.
    """
    models.register()
    network, settings = open_network(checkpoint, given, told), recipe.resolved
    sample = None
    if "data" in recipe.needs:
        assert settings.score_batches is not None
        sample = network.sampler(settings.score_batches, settings.seed)
    return Views(sample, network.flow() if "network" in recipe.needs else None)
