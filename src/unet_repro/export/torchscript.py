"""Exports a trained network as TorchScript, which QuPath and deepImageJ load."""

import io
import warnings
import zipfile
from pathlib import Path

import torch

from unet_repro.export.graph import Deployed
from unet_repro.export.parity import check_parity, recorded_images
from unet_repro.files import write_atomically
from unet_repro.runs.network import Network


def export_torchscript(network: Network, path: Path) -> float:
    """Writes the network as TorchScript after checking that it reproduces the run's output.

    Args:
        network: A run's network.
        path: The file. It maps ``(B, C, H, W)`` float32 as stored to probabilities ``(B, K, H, W)``.

    Returns:
        The largest difference of a probability from the run's own output.

    Raises:
        RunError: If a probability differs by more than ``parity.tolerance``; the file is then not written.
    """
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the checks of sizes in Python are not recorded, which is intended
        images = torch.from_numpy(recorded_images(network))
        traced = torch.jit.trace(Deployed(network).eval(), (images,), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, content)
        stripped = _without_source_paths(content)
        loaded = torch.jit.load(io.BytesIO(stripped))  # type: ignore[no-untyped-call]
        difference = check_parity(network, lambda images: loaded(torch.from_numpy(images)).numpy())
    write_atomically(path, stripped)
    return difference


def _without_source_paths(content: io.BytesIO) -> bytes:
    """The file without its debugging records, which name source files with the paths of this machine."""
    stripped = io.BytesIO()
    with zipfile.ZipFile(content) as full, zipfile.ZipFile(stripped, "w") as less:
        for record in full.infolist():
            if not record.filename.endswith(".debug_pkl"):
                less.writestr(record, full.read(record))
    return stripped.getvalue()
