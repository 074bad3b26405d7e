"""Exports a trained network as an ONNX file that maps raw images to probabilities."""

import json
import logging
import math
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unet_repro.errors import ConfigError, RunError
from unet_repro.files import replacing
from unet_repro.runs.network import Network
from unet_repro.tile_geometry import TileGeometry

TOLERANCE = 1e-5  # of a probability
OPSET = 18
MOST_STEPS = 4096  # largest size of an image or a batch, in steps

Pixels = npt.NDArray[np.float32]


class Deployed(nn.Module):
    """Normalisation, network, softmax: ``(B, C, H, W)`` float32 as stored to ``(B, K, h, w)`` probabilities."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.net = network.net
        statistics = network.normalisation
        self.register_buffer("mean", torch.tensor(statistics.mean, dtype=torch.float64)[:, None, None])
        self.register_buffer("std", torch.tensor(statistics.std, dtype=torch.float64)[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """Probabilities for the centre of the tile, without the halo."""
        scores: Tensor = self.net(((image.double() - self.mean) / self.std).float())
        return scores.softmax(1)


def export_onnx(network: Network, path: Path) -> float:
    """Writes the network as ONNX after checking that it reproduces the run's output.

    Args:
        network: A run's network.
        path: The file. Input ``image`` ``(B, C, H, W)`` float32 as stored, H and W legal tile sizes; output
            ``probabilities`` ``(B, K, H - 2 halo, W - 2 halo)``. Its metadata contain run, halo, sizes and classes.

    Returns:
        The largest difference of a probability from the run's own output.

    Raises:
        ConfigError: If the packages of the extra ``export`` are missing.
        RunError: If a probability differs by more than ``TOLERANCE``; the file is then not written.
    """
    onnx = needed("onnx")
    needed("onnxscript")
    geometry = network.geometry
    step, size = geometry.step_px, geometry.smallest_px + 2 * geometry.step_px
    rows, columns = (_sizes(geometry, name) for name in ("rows", "columns"))
    example = torch.zeros(2, network.in_channels, size, size + step)
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # internal warnings of torch's exporter
        program = torch.onnx.export(
            Deployed(network).eval(),
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch", max=MOST_STEPS), 2: rows, 3: columns}},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None, "the dynamo exporter returns a program"
    model = program.model_proto
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in describe(network).items()})
    content = model.SerializeToString()
    difference = check_parity(network, runner(content))
    with replacing(path) as file:
        file.write(content)
    return difference


def _sizes(geometry: TileGeometry, name: str) -> Any:
    """The legal sizes as a dynamic dimension."""
    least, rest = divmod(geometry.smallest_px, geometry.step_px)
    if geometry.step_px == 1:
        return torch.export.Dim(name, min=least, max=MOST_STEPS)
    return geometry.step_px * torch.export.Dim(name, min=least, max=MOST_STEPS) + rest


def describe(network: Network) -> dict[str, object]:
    """Metadata for users of the graph."""
    geometry = network.geometry
    return {
        "unet_repro_run": network.run_id,
        "class_names": list(network.class_names),
        "halo_px": geometry.halo_px,
        "smallest_size_px": geometry.smallest_px,
        "size_step_px": geometry.step_px,
        "mean": list(network.normalisation.mean),
        "std": list(network.normalisation.std),
    }


def runner(content: bytes) -> Callable[[Pixels], Pixels]:
    """A function that runs an ONNX graph on the CPU."""
    session = needed("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"image": images})[0], np.float32)


def check_parity(network: Network, run: Callable[[Pixels], Pixels]) -> float:
    """Compares an exported network with the run's own at several legal sizes, including non-square ones.

    Raises:
        RunError: If a probability differs by more than ``TOLERANCE``.
    """
    worst = 0.0
    least, step = network.geometry.smallest_px, network.geometry.step_px
    for index, (rows, columns) in enumerate(((0, 0), (3, 1), (1, 6))):
        images = sample_images(network, (least + rows * step, least + columns * step), number=1 + index % 2)
        normalised = np.stack([network.normalisation.apply(image) for image in images])
        with torch.inference_mode():
            expected = network.net(torch.from_numpy(normalised)).softmax(1).numpy()
        given = run(images)
        worst = max(worst, float(np.abs(given - expected).max()) if given.shape == expected.shape else math.inf)
    if not worst <= TOLERANCE:
        raise RunError(
            f"the export differs from run {network.run_id} by {worst:.2g} in a probability, more than {TOLERANCE}",
            hint="export another checkpoint; with model.norm=instance or group, rounding alone can cause this",
        )
    return worst


def sample_images(network: Network, size_hw: tuple[int, int], *, number: int) -> Pixels:
    """Noise with the training images' mean and standard deviation, ``(B, C, H, W)``; deterministic."""
    noise = np.random.default_rng(0).standard_normal((number, network.in_channels, *size_hw))
    mean, std = (np.asarray(each)[:, None, None] for each in (network.normalisation.mean, network.normalisation.std))
    return (mean + std * noise).astype(np.float32)


def needed(name: str) -> Any:
    """Imports an optional package.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"exporting requires {name.split('.', maxsplit=1)[0]}: {error}", hint="pip install 'unet-repro[export]'"
        ) from error
