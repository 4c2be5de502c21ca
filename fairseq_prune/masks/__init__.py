"""Masks: what is pruned, how it stays pruned, and how that is stored."""
