"""What flags say of a checkpoint's task, which overrides the file."""

from argparse import Namespace
from collections.abc import Callable

from fairseq_prune.checkpoints.apply import Views
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.own import Given

# the names under which they are parsed
TASK = ("source_lang", "target_lang", "dataset_impl", "model_overrides", "user_dir")


def given_of(arguments: Namespace) -> Given:
    """What the arguments say of a checkpoint's task, its data included."""
    names = ("data", "dataset_impl", "model_overrides", "user_dir")
    return Given(**{name: getattr(arguments, name) for name in names})


def looks_at(
    checkpoint: str, given: Given | None, recipe: Recipe, told: Callable[[int, int], None]
) -> Views:
    """What a recipe's saliency looks at beside the weights of a checkpoint.

    Args:
        given: the data, and what else flags say of the task; None for nothing.
        told: is told now and then how many batches of how many are scored.
    """
    if given is None:
        return Views()
    from fairseq_prune.tasks.offline import views_of  # fairseq takes seconds to load

    return views_of(checkpoint, given, recipe, told)
