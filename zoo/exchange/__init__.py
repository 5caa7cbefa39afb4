"""Exports for other launchers, and checkpoints from them."""
