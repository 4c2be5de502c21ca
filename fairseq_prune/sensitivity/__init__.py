"""How much a model loses where one weight class is pruned."""

# what flags offer stands here: --help does without torch

SPARSITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # of --propose and --at-most
