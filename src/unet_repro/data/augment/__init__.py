"""Augmentation of one tile: drawn by a seed, applied in one interpolation."""
