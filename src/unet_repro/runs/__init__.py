"""A run's identity, folder and record."""
