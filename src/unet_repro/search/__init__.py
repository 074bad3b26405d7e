"""Hyperparameter searches with Optuna."""

TRIAL_VARIABLE = "UNET_REPRO_TRIAL"  # environment variable of a job that is a trial of a search: identifies the trial
