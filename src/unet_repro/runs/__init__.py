"""The identity, folder and record of a run."""
