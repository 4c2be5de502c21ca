"""Dictionaries, and binarised data."""
