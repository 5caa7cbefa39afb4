"""Document identifiers as arrays of tokens."""
