"""Exports a trained network as a BioImage.IO package (specification 0.5), for ilastik, deepImageJ, QuPath etc."""

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from unet_repro.errors import RunError
from unet_repro.export.onnx import OPSET, Pixels, check_parity, describe, export_onnx, needed, runner, sample_images
from unet_repro.files import replacing
from unet_repro.models.protocol import normalises_tiles
from unet_repro.models.unet import UNet
from unet_repro.runs.network import Network

CITE = {
    "text": "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI 2015",
    "doi": "10.1007/978-3-319-24574-4_28",
}


def export_bioimageio(network: Network, path: Path, *, author: str, licence: str) -> float:
    """Writes a package after checking that it passes its own test and reproduces the run's output.

    The output tensor is smaller than the input by the halo on each side, as the description states. The input is grey
    values as stored; normalisation is part of the graph.

    Args:
        network: A run's network.
        path: The ``.zip`` file.
        author: Name of the publisher.
        licence: An SPDX identifier, such as ``MIT`` or ``CC-BY-4.0``.

    Returns:
        The largest difference of a probability from the run's own output.

    Raises:
        ConfigError: If the packages of the extra ``export`` are missing.
        RunError: If the package fails its test or differs by more than ``TOLERANCE``; it is then not written.
    """
    os.environ.setdefault("BIOIMAGEIO_PERFORM_IO_CHECKS", "0")  # else it checks links online
    spec, core = needed("bioimageio.spec"), needed("bioimageio.core")
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own dependencies'
        folder = Path(scratch)
        export_onnx(network, folder / "weights.onnx")
        with spec.ValidationContext(perform_io_checks=False):
            model = _describe(network, folder, author=author, licence=licence)
            package = folder / "model.zip"
            spec.save_bioimageio_package(model, output_path=package, allow_invalid=False)
            summary = core.test_description(package, weight_format="onnx")
            if summary.status != "passed":
                raise RunError(
                    f"the package of run {network.run_id} fails its own test:\n{summary.format()}",
                    hint="report this as a bug, with this text",
                )
            loaded = spec.load_description(package)
            with core.create_prediction_pipeline(loaded, weight_format="onnx") as pipeline:
                difference = check_parity(network, lambda images: _predict(core, loaded, pipeline, images))
        with replacing(path) as file:
            file.write(package.read_bytes())
    return difference


def _predict(core: Any, model: Any, pipeline: Any, images: Pixels) -> Pixels:
    """Predicts images one by one with the package."""
    outputs = []
    for image in images:
        sample = core.digest_spec.create_sample_for_model(model, inputs={"image": image[None]})
        found = pipeline.predict_sample_without_blocking(sample)
        outputs.append(np.asarray(found.members["probabilities"].data.data)[0])
    return np.stack(outputs).astype(np.float32)


def _describe(network: Network, folder: Path, *, author: str, licence: str) -> Any:
    v0_5 = needed("bioimageio.spec.model.v0_5")
    geometry = network.geometry
    size = geometry.smallest_px + 4 * geometry.step_px
    image = sample_images(network, (size, size), number=1)
    run = runner((folder / "weights.onnx").read_bytes())
    np.save(folder / "input.npy", image)
    np.save(folder / "output.npy", run(image))
    (folder / "README.md").write_text(_documentation(network))
    sides = [
        v0_5.SpaceInputAxis(
            id=v0_5.AxisId(axis), size=v0_5.ParameterizedSize(min=geometry.smallest_px, step=geometry.step_px)
        )
        for axis in "yx"
    ]
    channels = [v0_5.Identifier(f"channel{number}") for number in range(network.in_channels)]
    given = v0_5.InputTensorDescr(
        id=v0_5.TensorId("image"),
        description="Grey values as stored",
        axes=[v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=channels), *sides],
        test_tensor=v0_5.FileDescr(source=folder / "input.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
    )
    cropped = [
        v0_5.SpaceOutputAxis(
            id=v0_5.AxisId(axis),
            size=v0_5.SizeReference(tensor_id=given.id, axis_id=v0_5.AxisId(axis), offset=-2 * geometry.halo_px),
        )
        for axis in "yx"
    ]
    names = [v0_5.Identifier("".join(c if c.isalnum() else "_" for c in name)) for name in network.class_names]
    out = v0_5.OutputTensorDescr(
        id=v0_5.TensorId("probabilities"),
        description="Probability of each class",
        axes=[v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=names), *cropped],
        test_tensor=v0_5.FileDescr(source=folder / "output.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
    )
    return v0_5.ModelDescr(
        name=f"unet-repro {network.run_id}",
        description=f"{_kind(network)}, trained with unet-repro",
        authors=[v0_5.Author(name=author)],
        cite=[v0_5.CiteEntry(text=CITE["text"], doi=v0_5.Doi(CITE["doi"]))],
        license=v0_5.LicenseId(licence),
        documentation=v0_5.FileDescr(source=folder / "README.md"),
        tags=[*(["unet2d"] if isinstance(network.net, UNet) else []), "semantic-segmentation", "2d", "unet-repro"],
        inputs=[given],
        outputs=[out],
        weights=v0_5.WeightsDescr(onnx=v0_5.OnnxWeightsDescr(source=folder / "weights.onnx", opset_version=OPSET)),
        config=v0_5.Config.model_validate({"unet_repro": describe(network)}),
    )


def _kind(network: Network) -> str:
    if isinstance(network.net, UNet):
        return "U-Net with unpadded convolutions (Ronneberger et al. 2015)"
    return f"Network {type(network.net).__name__}"


def _documentation(network: Network) -> str:
    geometry = network.geometry
    lines = [
        f"# unet-repro {network.run_id}",
        f"{_kind(network)}. Legal input sizes are {geometry.smallest_px} + {geometry.step_px} n pixels; the output is "
        f"smaller by {geometry.halo_px} pixels on each side, so mirror an image at its border by that width.",
        "The input is grey values as stored: normalisation with the training images' mean and standard deviation is "
        f"part of the graph. Classes: {', '.join(network.class_names)}.",
        "# Validation",
        "When it was written, the package was compared with its original run at several image sizes.",
    ]
    if normalises_tiles(network.net):
        lines.insert(3, "Because of instance or group norm the output depends on the tile.")
    return "\n\n".join(lines) + "\n"
