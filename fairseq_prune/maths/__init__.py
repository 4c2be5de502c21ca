"""Layer 0: tensors and numbers. Nothing here knows modules or fairseq."""
