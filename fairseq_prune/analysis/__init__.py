"""What pruned models are worth: decoding, scores, tables, figures and pages."""
