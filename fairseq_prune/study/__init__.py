"""Ablation studies: one file in, a folder of ordinary fairseq runs and their results out.

document reads YAML with line numbers, settings and recipes check it, grid makes the points of it,
folder says what has been done to each, worker does one, executors start workers, driver keeps them
going.
"""
