"""How documents, also new ones, get identifiers."""
