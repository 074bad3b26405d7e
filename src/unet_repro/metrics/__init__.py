"""Measures of a segmentation against its truth."""
