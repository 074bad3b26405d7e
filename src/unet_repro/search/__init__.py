"""Searches of settings with Optuna."""
