"""``python -m unet_repro`` is ``unet-repro``."""

from unet_repro.cli import main

main()
