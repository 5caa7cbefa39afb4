"""Compiles the programs of a system for accelerators that need not be there."""
