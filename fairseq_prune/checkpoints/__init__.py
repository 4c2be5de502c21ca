"""Checkpoints: opened, looked into, changed, proved and written."""
