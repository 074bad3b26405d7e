"""Trained networks that come with this program, listed in ``SHA256SUMS``; see ``benchmarks/reference_models.py``."""
