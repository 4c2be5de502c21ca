"""Corpora as configs/data declares them: fetched, checked, cleaned, segmented, binarised."""
