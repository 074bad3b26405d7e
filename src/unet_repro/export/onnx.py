"""Exports a trained network as an ONNX file that maps images of any size to probabilities."""

import json
import logging
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unet_repro.errors import ConfigError
from unet_repro.export.graph import Deployed
from unet_repro.export.parity import Pixels, check_parity, recorded_images
from unet_repro.files import replacing
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
        RunError: If a probability differs by more than ``TOLERANCE``; the file is then not written.
    """
    onnx = needed("onnx")
    needed("onnxscript")
    rows, columns = (torch.export.Dim(name, min=1, max=MOST_PIXELS) for name in ("rows", "columns"))
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # internal warnings of torch's exporter
        program = torch.onnx.export(
            Deployed(network).eval(),
            (torch.from_numpy(recorded_images(network)),),
            dynamo=True,
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_shapes={"image_BCHW": {0: torch.export.Dim("batch", max=MOST_IMAGES), 2: rows, 3: columns}},
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


def runner(content: bytes) -> Callable[[Pixels], Pixels]:
    """A function that runs an ONNX graph on the CPU."""
    session = needed("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"image": images})[0], np.float32)


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
