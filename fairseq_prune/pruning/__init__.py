"""The decisions: which recipe, when to prune, and what that leaves."""
