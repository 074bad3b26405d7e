"""Exports a trained network as ONNX: a file that maps images of any size to probabilities, or the graph of a tile."""

import json
import logging
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unet_repro.errors import ConfigError, RunError, install_extra
from unet_repro.export.graph import Deployed, DeployedTile
from unet_repro.export.parity import Pixels, check_parity, recorded_images, sample_images
from unet_repro.files import write_atomically
from unet_repro.inference.overlap_tile import plan_tiles, predict
from unet_repro.runs.network import Network

OPSET = 18
MOST_PIXELS = 65536  # largest height or width of an image
MOST_IMAGES = 4096  # of a batch


def export_onnx(network: Network, path: Path) -> float:
    """Writes the network as ONNX after checking that it reproduces the run's output.

    Args:
        network: A run's network.
        path: The file. Input ``image`` ``(B, C, H, W)`` float32 as stored; output ``probabilities`` ``(B, K, H, W)``.
            Its metadata contain run, halo, step and classes.

    Returns:
        The largest difference of a probability from the run's own output.

    Raises:
        ConfigError: If the packages of the extra ``export`` are missing.
        RunError: If ONNX lacks an operation, or a probability differs by more than ``parity.tolerance``; the
            file is then not written.
    """
    content = _recorded(network, Deployed(network), "image", recorded_images(network))
    difference = check_parity(network, runner(content))
    write_atomically(path, content)
    return difference


def tile_graph(network: Network) -> tuple[bytes, float]:
    """The network as ONNX for one tile at a time, after checking that it reproduces the run's output.

    Returns:
        The graph, input ``tile`` ``(1, C, H, W)`` float32 as stored with legal sizes, output ``probabilities``
        ``(1, K, h, w)``; and the largest difference of a probability from the run's own output.

    Raises:
        ConfigError: If the packages of the extra ``export`` are missing.
        RunError: If ONNX lacks an operation, or a probability differs by more than ``parity.tolerance``.
    """
    smallest = network.geometry.smallest_px
    content = _recorded(
        network, DeployedTile(network), "tile", sample_images(network, (smallest + 75, smallest + 91), number=1)
    )
    run = runner(content, "tile")

    def tiled(images: Pixels) -> Pixels:
        plan = plan_tiles((images.shape[2], images.shape[3]), network.geometry)
        found = [predict(lambda tile: torch.from_numpy(run(tile.numpy())), each, plan) for each in images]
        return torch.stack(found).numpy()

    return content, check_parity(network, tiled)


def _recorded(network: Network, module: nn.Module, name: str, example: Pixels) -> bytes:
    """A module as ONNX with its metadata; batches are of any size if the example has two images."""
    onnx = needed("onnx")
    needed("onnxscript")
    rows, columns = (torch.export.Dim(axis, min=1, max=MOST_PIXELS) for axis in ("rows", "columns"))
    batch = {0: torch.export.Dim("batch", max=MOST_IMAGES)} if len(example) > 1 else {}
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # internal warnings of torch's exporter
            program = torch.onnx.export(
                module.eval(),
                (torch.from_numpy(example),),
                dynamo=True,
                input_names=[name],
                output_names=["probabilities"],
                dynamic_shapes=({**batch, 2: rows, 3: columns},),
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise RunError(
            f"{type(network.net).__name__} of run {network.run_id} cannot be exported as ONNX: {reason}",
            hint="use only operations that torch.onnx.export supports (docs/how-to/extending.md); `unet-repro predict` "
            "works without an export",
        ) from error
    assert program is not None, "the dynamo exporter returns a program"
    model = program.model_proto
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]  # the exporter's stack traces, with the paths of this machine
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in describe(network).items()})
    content: bytes = model.SerializeToString()
    return content


def describe(network: Network) -> dict[str, object]:
    """Metadata for users of the graph."""
    return {
        "unet_repro_run": network.run_id,
        "class_names": list(network.class_names),
        "channels": [*network.class_names, *network.head.names],
        "scale": network.scale or 1.0,
        "halo_px": network.geometry.halo_px,
        "step_px": network.geometry.step_px,
        "mean": list(network.normalisation.mean),
        "std": list(network.normalisation.std),
    }


def runner(content: bytes, name: str = "image") -> Callable[[Pixels], Pixels]:
    """A function that runs an ONNX graph with an input of that name on the CPU."""
    session = needed("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {name: images})[0], np.float32)


def needed(name: str) -> Any:
    """Imports an optional package.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"exporting requires {name.split('.', maxsplit=1)[0]}: {error}", hint=install_extra("export")
        ) from error
