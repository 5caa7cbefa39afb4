"""What a document is called: identifiers as arrays of tokens."""
