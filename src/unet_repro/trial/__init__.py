"""Comparisons: arms, plans, claims."""
