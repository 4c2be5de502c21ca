"""Checkpoints: opened, looked into, changed, proved and written."""

# what flags offer stands here: --help does without torch

EPOCH, UPDATE = "epoch", "update"  # of average --by

# of control --kind
CONTROLS = {
    "shuffle": "each tensor's mask in a random order",
    "random": "random masks with the same count in each weight class",
    "invert": "the smallest magnitudes instead, as many in each tensor",
    "reinit": "the same masks on fresh weights, those of fairseq-train --seed",
}

# of tickets --rewind and --controls
REWINDS = {
    "weights": "weights, optimizer, schedule and data order of the update",
    "learning-rate": "schedule and data order of the update; the weights stay as they were trained",
}
