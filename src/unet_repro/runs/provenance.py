"""The provenance of a result."""

import functools
import platform
import subprocess
from pathlib import Path

import lightning
import torch

from unet_repro.version import VERSION


@functools.cache
def provenance(accelerator: str) -> dict[str, str | None]:
    """Versions, machine and commit of a result.

    Args:
        accelerator: Device of the computation: ``cpu`` or ``gpu``.

    Returns:
        Strings; the commit is ``None`` outside a checkout.
    """
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "unet_repro": VERSION,
        "commit": git.stdout.strip() or None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if accelerator == "gpu" else "cpu",
    }
