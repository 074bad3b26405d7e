"""Hydra plugins of unet-repro: the sweeper over an experiment's arms, and the search."""
