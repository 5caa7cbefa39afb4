"""From beams, keys or scores to rankings of documents."""
