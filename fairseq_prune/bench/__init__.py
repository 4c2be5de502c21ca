"""How fast a model is, and how large."""
