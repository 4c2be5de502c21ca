"""Ablation studies: one file in, a folder of ordinary fairseq runs and their results out.

document reads YAML with line numbers, settings and recipes check it, grid makes the points of it,
folder says what has been done to each, worker does one, executors start workers, driver keeps them
going.
"""

# what flags offer stands here: --help does without torch

# what is done to a model, in the order in which it is done (stages of a study)
STAGES = {
    "pruned": "the trained model, pruned",
    "retrained": "the pruned model, trained further under its masks",
    "scratch": "a fresh model, trained under the masks of the pruned one",
    "fresh": "a fresh model, pruned before its first update, or by a schedule",
    "ticket": "rounds of pruning and rewinding",
    "sensitivity": "one weight class pruned at a time",
}
