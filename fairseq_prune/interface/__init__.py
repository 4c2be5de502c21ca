"""The Python interface: what ``fairseq_prune.__all__`` names is public and stays."""
