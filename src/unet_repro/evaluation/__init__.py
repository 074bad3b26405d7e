"""Measures of trained runs, individually and in groups."""
