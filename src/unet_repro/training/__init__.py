"""A configuration to data and task; the LightningModule, its losses and schedules."""
