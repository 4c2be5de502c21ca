"""How much a model loses where one weight class is pruned."""
