"""The one beam search and the automata that constrain it."""
