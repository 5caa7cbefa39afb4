"""Objectives: pure functions of arrays."""
