"""Planning, training and monitoring of sweeps."""
