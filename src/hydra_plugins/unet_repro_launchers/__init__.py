"""Hydra launchers: runs side by side on this machine, and through SLURM."""
