"""``unet-repro export``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from unet_repro.commands import hydra_app
from unet_repro.config import typed
from unet_repro.console import report_user_errors
from unet_repro.errors import ConfigError
from unet_repro.evaluation.trained_run import trained_network
from unet_repro.export.bioimageio import export_bioimageio
from unet_repro.export.onnx import TOLERANCE, export_onnx
from unet_repro.runs.network import Checkpoint

SUFFIXES = {".zip": "bioimageio", ".onnx": "onnx"}


@dataclass(frozen=True)
class ExportSettings:
    """See ``conf/export.yaml``."""

    run: Path
    output: Path
    format: Literal["auto", "bioimageio", "onnx"]
    checkpoint: Checkpoint
    author: str
    licence: str
    overwrite: bool


def main(arguments: list[str]) -> None:
    """Exports a network."""
    hydra_app.run(task, verb="export", arguments=arguments)


def task(config: DictConfig) -> None:
    """Writes the file and prints the largest difference from the run's own output."""
    with report_user_errors():
        settings = typed(ExportSettings, config)
        output = settings.output
        kind = SUFFIXES.get(output.suffix.lower()) if settings.format == "auto" else settings.format
        if kind is None:
            raise ConfigError(
                f"cannot infer the format from output={output}", hint="use .zip or .onnx, or add format=bioimageio"
            )
        if output.exists() and not settings.overwrite:
            raise ConfigError(f"{output} already exists", hint="add overwrite=true, or choose another output")
        network = trained_network(settings.run, settings.checkpoint)
        if kind == "onnx":
            difference = export_onnx(network, output)
        else:
            difference = export_bioimageio(network, output, author=settings.author, licence=settings.licence)
        print(
            f"written: {output}; probabilities differ from the run's by at most {difference:.1g} (allowed: {TOLERANCE})"
        )
