"""Trained models as files to keep, send and run, here and in other programs."""
