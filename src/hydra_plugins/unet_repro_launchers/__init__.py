"""Hydra launchers: parallel runs on this machine, and through SLURM."""
