"""Exports a trained network as a BioImage.IO package (specification 0.5), for QuPath, deepImageJ, ilastik etc."""

import difflib
import os
import re
import tempfile
import warnings
from collections.abc import Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unet_repro.errors import ConfigError, RunError
from unet_repro.export.card import card, kind_of
from unet_repro.export.cover import Example, draw_cover
from unet_repro.export.onnx import OPSET, describe, export_onnx, needed, runner
from unet_repro.export.parity import Pixels, check_parity, sample_images
from unet_repro.export.torchscript import export_torchscript
from unet_repro.files import write_atomically
from unet_repro.models.unet import UNet
from unet_repro.runs.network import Checkpoint, Network
from unet_repro.runs.package import pack

CITE = {
    "text": "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI 2015",
    "doi": "10.1007/978-3-319-24574-4_28",
}
WEIGHTS = ("onnx", "torchscript")


def export_bioimageio(
    network: Network,
    path: Path,
    *,
    author: str,
    licence: str,
    checkpoint: Checkpoint = "best",
    example: Example | None = None,
    weights: Sequence[str] = WEIGHTS,
    notes: str = "",
) -> float:
    """Writes a package after checking that it passes its own test and reproduces the run's output.

    It contains ONNX and TorchScript weights, each checked by itself, and the run's own (``runs.package``). Input and
    output have the same, any, size.

    Args:
        network: A run's network.
        path: The ``.zip`` file.
        author: Name of the publisher.
        licence: An SPDX identifier, such as ``MIT`` or ``CC-BY-4.0``.
        checkpoint: The run's checkpoint that the network was opened with, for the scores in its card.
        weights: Kinds of weights, ``onnx`` first, for other programs.
        notes: Further text of its card, in Markdown.
        example: A validation image for the cover picture; none for a package without a picture.

    Returns:
        The largest difference of a probability from the run's own output.

    Raises:
        ConfigError: If the packages of the extra ``export`` are missing, or the author or licence is not valid.
        RunError: If the package fails its test or differs by more than ``parity.tolerance``; it is then not written.
    """
    os.environ.setdefault("BIOIMAGEIO_PERFORM_IO_CHECKS", "0")  # else it checks links online
    spec = needed("bioimageio.spec")
    needed("bioimageio.core")
    check_publisher(author, licence)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own dependencies'
        folder = Path(scratch)
        export_onnx(network, folder / "weights.onnx")
        if "torchscript" in weights:
            export_torchscript(network, folder / "weights.pt")
        text = card(network, checkpoint, cover_of=example.data if example else None)
        (folder / "README.md").write_text(f"{text}\n{notes}" if notes else text)
        if example is not None:
            draw_cover(network, example, folder / "cover.png")
        with spec.ValidationContext(perform_io_checks=False):
            package = folder / "model.zip"
            inside = pack(network, checkpoint, folder)
            try:
                model = _describe(network, folder, inside, author=author, licence=licence)
                spec.save_bioimageio_package(model, output_path=package, allow_invalid=False)
            except ValueError as error:  # pydantic's, of many lines
                raise RunError(
                    f"run {network.run_id} cannot be packaged: {' '.join(str(error).split())[:300]}",
                    hint="check author, licence and the names of the classes, or export to .onnx",
                ) from error
            differences = [_check(network, package, kind) for kind in weights]
        write_atomically(path, package.read_bytes())
    return max(differences)


def check_publisher(author: str, licence: str) -> None:
    """Checks what the specification requires of an author's name and a licence.

    Raises:
        ConfigError: If one of them is not valid.
    """
    if not author.strip() or "/" in author or "\\" in author:
        raise ConfigError(f"author={author!r} is not a valid author name", hint="use a name without / and \\")
    v0_5 = needed("bioimageio.spec.model.v0_5")
    try:
        v0_5.LicenseId(licence)
    except ValueError:  # pydantic's, with all 600 identifiers in its text
        known = _licences()
        likely = re.sub(r"[\s_]+", "-", licence.strip()).lower()
        near = difflib.get_close_matches(likely, known, 3)
        raise ConfigError(
            f"licence={licence!r} is not an SPDX identifier",
            hint=f"use {' or '.join(known[each] for each in near) or 'MIT or CC-BY-4.0'}; see https://spdx.org/licenses",
        ) from None


def _licences() -> dict[str, str]:
    """Lower-case -> SPDX identifier."""
    literals = needed("bioimageio.spec._internal._generated_spdx_license_literals")
    return {each.lower(): each for each in literals.LicenseId.__args__}


def _check(network: Network, package: Path, weights: str) -> float:
    """Runs the package's own test with one kind of weights, and compares its predictions with the run's."""
    spec, core = needed("bioimageio.spec"), needed("bioimageio.core")
    summary = core.test_description(package, weight_format=weights)
    if summary.status != "passed":
        raise RunError(
            f"the package of run {network.run_id} fails its own test with {weights} weights: {_reasons(summary)}",
            hint="report this as a bug, with this text",
        )
    loaded = spec.load_description(package)
    with core.create_prediction_pipeline(loaded, weight_format=weights) as pipeline:
        return check_parity(network, lambda images: _predict(core, loaded, pipeline, images))


def _reasons(summary: Any) -> str:
    """What a test of bioimageio.core found wrong, in one line."""
    errors = [" ".join(error.msg.split()) for detail in summary.details for error in detail.errors]
    return "; ".join(dict.fromkeys(errors)) or str(summary.status)


def _predict(core: Any, model: Any, pipeline: Any, images: Pixels) -> Pixels:
    """Predicts images one by one with the package."""
    outputs = []
    for image in images:
        sample = core.digest_spec.create_sample_for_model(model, inputs={"image": image[None]})
        found = pipeline.predict_sample_without_blocking(sample)
        outputs.append(np.asarray(found.members["probabilities"].data.data)[0])
    return np.stack(outputs).astype(np.float32)


def _describe(network: Network, folder: Path, inside: Sequence[Path], *, author: str, licence: str) -> Any:
    v0_5 = needed("bioimageio.spec.model.v0_5")
    size = network.geometry.smallest_px + 5
    image = sample_images(network, (size, size + 6), number=1)
    output = runner((folder / "weights.onnx").read_bytes())(image)
    np.save(folder / "input.npy", image)
    np.save(folder / "output.npy", output)
    any_size = v0_5.ParameterizedSize(min=1, step=1)
    sides = [v0_5.SpaceInputAxis(id=v0_5.AxisId(axis), size=any_size) for axis in "yx"]
    channels = [v0_5.Identifier(f"channel{number}") for number in range(network.in_channels)]
    given = v0_5.InputTensorDescr(
        id=v0_5.TensorId("image"),
        description="Grey values as stored",
        axes=[v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=channels), *sides],
        test_tensor=v0_5.FileDescr(source=folder / "input.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
    )
    same = [
        v0_5.SpaceOutputAxis(
            id=v0_5.AxisId(axis), size=v0_5.SizeReference(tensor_id=given.id, axis_id=v0_5.AxisId(axis))
        )
        for axis in "yx"
    ]
    names = [v0_5.Identifier(name) for name in identifiers([*network.class_names, *network.head.names])]
    out = v0_5.OutputTensorDescr(
        id=v0_5.TensorId("probabilities"),
        description="Probability of each class"
        + (", and a map of the seeds of objects (see the documentation)" if network.head.has_seeds else ""),
        axes=[v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=names), *same],
        test_tensor=v0_5.FileDescr(source=folder / "output.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
    )
    cover = folder / "cover.png"
    return v0_5.ModelDescr(
        name=re.sub(r"[^A-Za-z0-9_+\- ()]", "_", f"unet-repro {network.run_id}")[:128],
        description=f"{kind_of(network)}, trained with unet-repro",
        authors=[v0_5.Author(name=author)],
        cite=[v0_5.CiteEntry(text=CITE["text"], doi=v0_5.Doi(CITE["doi"]))],
        license=v0_5.LicenseId(licence),
        documentation=v0_5.FileDescr(source=folder / "README.md"),
        covers=[v0_5.FileDescr(source=cover)] if cover.exists() else [],
        tags=[*(["unet2d"] if isinstance(network.net, UNet) else []), "semantic-segmentation", "2d", "unet-repro"],
        inputs=[given],
        outputs=[out],
        weights=v0_5.WeightsDescr(
            onnx=v0_5.OnnxWeightsDescr(source=folder / "weights.onnx", opset_version=OPSET),
            torchscript=None
            if not (folder / "weights.pt").exists()
            else v0_5.TorchscriptWeightsDescr(
                source=folder / "weights.pt", pytorch_version=v0_5.Version(torch.__version__.partition("+")[0])
            ),
        ),
        attachments=[v0_5.FileDescr(source=path) for path in inside],
        config=v0_5.Config.model_validate({"unet_repro": describe(network)}),
    )


def identifiers(names: Sequence[str]) -> list[str]:
    """Names of classes as the specification allows them: different Python identifiers.

    >>> identifiers(["background", "2nd", "cell wall", "cell-wall", "class"])
    ['background', '_2nd', 'cell_wall', 'cell_wall_3', 'class_']
    """
    found: list[str] = []
    for index, name in enumerate(names):
        word = "".join(c if c.isalnum() else "_" for c in name)
        word = word if word.isidentifier() else f"_{word}"
        word += "_" if iskeyword(word) else ""
        found.append(f"{word}_{index}" if word in found else word)
    return found
