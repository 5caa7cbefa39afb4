"""How documents get identifiers, and how new documents do."""
