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
    return {
        "unet_repro": VERSION,
        "commit": commit_of(Path(__file__).parents[3]),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if accelerator == "gpu" else "cpu",
    }


def commit_of(checkout: Path) -> str | None:
    """The commit of a checkout, with the suffix ``-dirty`` if its code or configuration differ from it.

    Other changes do not count: the trial, for example, adds its runs to ``experiments/record``.

    Args:
        checkout: Its root, with the folders ``src`` and ``conf``.

    Returns:
        Twelve hexadecimal digits; ``None`` if this is no checkout, as in an installed wheel, or git is missing.
    """
    if not (checkout / "src" / "unet_repro").is_dir():
        return None  # site-packages in the middle of somebody's own repository
    commit = _git(checkout, "rev-parse", "--short=12", "HEAD")
    changed = _git(checkout, "status", "--porcelain", "--", "src", "conf")
    return (f"{commit}-dirty" if changed else commit) or None


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; nothing if it fails or is not installed."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
