"""Generative retrieval zoo."""
