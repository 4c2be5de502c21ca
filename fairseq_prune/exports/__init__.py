"""Trained models as files to keep, send and run."""
