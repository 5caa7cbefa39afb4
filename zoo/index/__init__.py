"""Which identifiers are legal, and exact retrieval baselines."""
