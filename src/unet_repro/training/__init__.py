"""Builds data and task from a configuration; the LightningModule, its losses and schedules."""
