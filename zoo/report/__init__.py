"""Measures, comparisons, plots and tables."""
