"""What of a network can be pruned, and under which names and weight classes."""
