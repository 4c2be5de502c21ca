"""Files and texts, for all that lies above: what knows nothing of pruning."""
