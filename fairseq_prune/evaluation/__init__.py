"""How good a model is: decoding, scores, perplexity, and the rows that say them."""
