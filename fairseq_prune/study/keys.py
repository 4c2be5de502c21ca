"""Every key of a study file: what it says, and what counts where it is left out.

The reader of the file takes the keys of these tables and no others.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """What a key says.

    Args:
        what: it is, for people.
        default: what counts without it, for people; "" where there is nothing to say.
        needed: whether it has to be there.
    """

    what: str
    default: str = ""
    needed: bool = False


Table = Mapping[str, Meaning]


def needed_in(table: Table) -> tuple[str, ...]:
    """The keys that have to be there."""
    return tuple(name for name, meaning in table.items() if meaning.needed)


FILE: Table = {
    "title": Meaning("the report's", "the file's name"),
    "data": Meaning("data sets, by names of your own", needed=True),
    "models": Meaning("models, by names of your own", needed=True),
    "seeds": Meaning(
        "whole numbers; each point is made once for each", "1, or those of checkpoints"
    ),
    "grid": Meaning("a list of blocks, each the product of its lists", needed=True),
    "evaluate": Meaning("how models are decoded and scored", "as fairseq-prune evaluate does"),
    "checkpoint": Meaning("which of a training's checkpoints counts: best or last", "best"),
    "keep": Meaning(
        "all checkpoints, or evaluated: of finished points only the one that was scored", "all"
    ),
}
DATA: Table = {
    "bin": Meaning(
        "the folder that fairseq-preprocess made; relative to the study file, or with prepare to "
        "the folder that it fills",
        needed=True,
    ),
    "prepare": Meaning("a bash script that makes the data in the folder it is given", "none"),
    "reference": Meaning(
        "raw target text of the test set, placed as bin is", "the data's own, subwords joined"
    ),
    "also": Meaning("more subsets to score, each with its raw target text", "none"),
}
MODEL: Table = {
    "config": Meaning(
        "a YAML file of flags of fairseq-train, in sections: model goes into every run, dense and "
        "retrain are the two trainings; `mine: FILE` says the same as `mine: {config: FILE}`"
    ),
    "checkpoint": Meaning(
        "in place of config: a trained model to start from, FILE, or one for each seed, [FILE, "
        "FILE] or {SEED: FILE}; it is never written to"
    ),
    "dense": Meaning(
        "with config the section of dense training; with checkpoint flags of fairseq-train that "
        "replace its own where new weights are trained",
        "dense; the checkpoint's flags",
    ),
    "retrain": Meaning(
        "with config the section of retraining; with checkpoint flags that replace those of "
        "retraining",
        "retrain; the checkpoint's flags, half its learning rate, a third of its training",
    ),
}
BLOCK: Table = {
    "stages": Meaning("what to make; the stages are below", needed=True),
    "schemes": Meaning("who pays how much, --prune-scheme; needed by stages that prune"),
    "saliencies": Meaning("what a weight is worth, --prune-saliency", "magnitude"),
    "structures": Meaning("what is removed together, --prune-structure", "weight"),
    "sparsities": Meaning("fractions of the prunable weights to remove, --prune-sparsity", "0.8"),
    "models": Meaning("names of models", "all"),
    "data": Meaning("names of data sets", "all"),
    "seeds": Meaning("seeds", "those of the file"),
    "flags": Meaning(
        "more flags, of the recipe (below) and of fairseq-train, for the training of this block"
    ),
    "section": Meaning("the section of the configuration to train with", "dense or retrain"),
    "name": Meaning("the block's, in reports and for from"),
    "from": Meaning("a block above, whose models are pruned further", "the dense model"),
}
