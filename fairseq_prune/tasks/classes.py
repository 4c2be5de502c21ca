"""A trained classifier run over a subset: what ``fairseq-validate`` does, with its numbers kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq import utils
from torch import Tensor

from fairseq_prune.data.binarised_check import check_stored, check_tokens
from fairseq_prune.pruning.refusal import reason_of
from fairseq_prune.tasks.loaded import load
from fairseq_prune.tasks.opening import import_plugin
from fairseq_prune.tasks.own import Given, overrides_of, read_task


@dataclass(frozen=True)
class Outcome:
    """What a classifier makes of a subset.

    Args:
        examples: how many there are.
        correct: how many of them get their class.
        nats: the loss of all of them together.
        counts: (tokens,) how often each token is in the texts; padding is not counted.
    """

    examples: int
    correct: int
    nats: float
    counts: Tensor


def run_classifier(checkpoint: str, given: Given, subset: str, cpu: bool = False) -> Outcome:
    """Run a checkpoint's model, by the criterion it was trained with, over a subset of the data.

    Raises ValueError where fairseq cannot open one or the other, or the model is no classifier.
    """
    for part in ("input0", "label"):
        check_stored(Path(given.data) / part / subset)
    import_plugin(given.user_dir)
    own = read_task(checkpoint, given.model_overrides)
    try:
        loaded = load([checkpoint], overrides_of(own, given))
        task = loaded.task
        if not hasattr(loaded.models[0], "classification_heads"):
            raise ValueError("it is no classifier; fairseq-prune evaluate scores translations")
        task.load_dataset(subset, combine=False, epoch=1)
        criterion = task.build_criterion(loaded.saved.criterion)
    except Exception as error:
        raise ValueError(
            f"fairseq cannot open {checkpoint} with --data {given.data}: {reason_of(error)}."
        ) from None
    model = loaded.models[0]
    model = model.cuda() if torch.cuda.is_available() and not cpu else model
    model.eval()
    criterion.eval()
    return _run(task, model, criterion, subset, loaded.saved.dataset)


def _run(task: Any, model: Any, criterion: Any, subset: str, limits: Any) -> Outcome:
    device, pad = next(model.parameters()).device, task.source_dictionary.pad()
    counts = torch.zeros(len(task.source_dictionary), dtype=torch.int64)
    classes = len(task.label_dictionary) - task.label_dictionary.nspecial
    examples = correct = 0
    nats = 0.0
    batches = task.get_batch_iterator(
        task.dataset(subset), max_tokens=limits.max_tokens, max_sentences=limits.batch_size
    ).next_epoch_itr(shuffle=False)
    for sample in batches:
        tokens, labels = sample["net_input"]["src_tokens"], sample["target"]
        check_tokens(tokens, len(counts), f"input0 of subset {subset}")
        if not labels.is_floating_point():
            check_tokens(labels, classes, f"label of subset {subset}")
        counts += torch.bincount(tokens.flatten(), minlength=len(counts))
        sample = utils.move_to_cuda(sample) if device.type == "cuda" else sample
        with torch.no_grad():
            loss, size, log = criterion(model, sample)
        if "ncorrect" not in log:
            raise ValueError("--regression-target has no classes, so that there is no accuracy.")
        nats, examples = nats + float(loss), examples + int(size)
        correct += int(log["ncorrect"])
    counts[pad] = 0
    return Outcome(examples, correct, nats, counts)
