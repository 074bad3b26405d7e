"""``unet-repro export``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from unet_repro.commands import hydra_app
from unet_repro.commands.arguments import with_model
from unet_repro.config import DataFolder, typed
from unet_repro.console import report_user_errors
from unet_repro.errors import ConfigError, DataError, RunError
from unet_repro.export.bioimageio import check_publisher, export_bioimageio
from unet_repro.export.cover import Example
from unet_repro.export.html import export_html
from unet_repro.export.onnx import export_onnx
from unet_repro.export.parity import tolerance
from unet_repro.runs.network import Checkpoint, open_network
from unet_repro.runs.package import named

SUFFIXES = {".zip": "bioimageio", ".onnx": "onnx", ".html": "html"}


@dataclass(frozen=True)
class ExportSettings:
    """See ``conf/export.yaml``."""

    run: Path | None
    network: str | None
    output: Path
    format: Literal["auto", "bioimageio", "onnx", "html"]
    checkpoint: Checkpoint
    author: str
    licence: str
    cover: bool
    packages: Path | None
    data: DataFolder
    overwrite: bool


def main(arguments: list[str]) -> None:
    """Exports a network."""
    hydra_app.run(task, verb="export", arguments=with_model(arguments))


def task(config: DictConfig) -> None:
    """Writes the file and prints the largest difference from the run's own output."""
    with report_user_errors():
        settings = typed(ExportSettings, config)
        output = settings.output
        kind = SUFFIXES.get(output.suffix.lower()) if settings.format == "auto" else settings.format
        if kind is None:
            raise ConfigError(
                f"cannot infer the format from output={output}",
                hint="use .zip, .onnx or .html, or add format=bioimageio",
            )
        if output.exists() and not settings.overwrite:
            raise ConfigError(f"{output} already exists", hint="add overwrite=true, or choose another output")
        if kind == "bioimageio":
            check_publisher(settings.author, settings.licence)
        run = named(settings.run, settings.network)
        network = open_network(run, settings.checkpoint)
        if kind == "onnx":
            difference = export_onnx(network, output)
        elif kind == "html":
            difference = export_html(network, output, checkpoint=settings.checkpoint, packages=settings.packages)
        else:
            difference = export_bioimageio(
                network,
                output,
                author=settings.author,
                licence=settings.licence,
                checkpoint=settings.checkpoint,
                example=_example(run, settings) if settings.cover else None,
            )
        allowed = tolerance(network)
        print(
            f"written: {output}; probabilities differ from the run's by at most {difference:.1g} (allowed: {allowed})"
        )


def _example(run: Path, settings: ExportSettings) -> Example | None:
    """The run's first validation image; ``None``, with a message, if its images are not here and none were named."""
    from unet_repro.evaluation.trained_run import open_trained  # noqa: PLC0415  (imports Lightning, which is slow)

    try:
        trained = open_trained(run, settings.checkpoint, data_root=settings.data.root)
        return Example(trained.images("val")[0].image, trained.data_name)
    except (DataError, RunError) as error:
        if settings.data.root is not None:
            raise
        print(
            f"no cover picture: {error.what}; add data.root= with the folder of the images, or cover=false",
            file=sys.stderr,
        )
        return None
