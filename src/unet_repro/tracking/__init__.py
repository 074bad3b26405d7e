"""Weights and Biases: names, panels, offline runs."""
