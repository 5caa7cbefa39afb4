"""Metrics and comparisons of rankings."""
