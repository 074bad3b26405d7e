"""What the fork server imports before it starts processes."""

from unet_repro.imports import import_uncollected

for _name in ("commands.train", "tracking.callback"):
    import_uncollected(f"unet_repro.{_name}")
import_uncollected("hydra_plugins.unet_repro_launchers._local_worker")
