"""Loggers: Weights & Biases (names, panels, offline runs), CSV, MLflow and Trackio."""
