"""The theorems of constrained generative retrieval, checked through the beam search that retrieves."""
