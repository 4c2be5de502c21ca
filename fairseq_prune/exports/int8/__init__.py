"""LSTMs with weights of 8 bits, computed by torch's own integer kernels under fairseq's search."""
