"""Augmentation of one tile: drawn from a seed, applied in one interpolation."""
