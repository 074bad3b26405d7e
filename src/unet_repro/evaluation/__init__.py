"""Measures of trained runs, one by one and in groups."""
