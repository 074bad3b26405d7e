"""``unet-repro submit-isbi``."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from unet_repro.commands import hydra_app
from unet_repro.config import typed
from unet_repro.console import report_user_errors
from unet_repro.data.sources.isbi2012 import NUM_SLICES
from unet_repro.errors import ConfigError
from unet_repro.evaluation.groups import runs_of
from unet_repro.evaluation.isbi_submission import predict_test_slices, write_volume
from unet_repro.files import counted
from unet_repro.inference.rotations import Views
from unet_repro.runs.network import Checkpoint


@dataclass(frozen=True)
class SubmitSettings:
    """See ``conf/submit-isbi.yaml``."""

    run: str | list[str] | None
    comparison: str | None
    runs_dir: Path
    checkpoint: Checkpoint
    views: Views
    output: Path
    overwrite: bool


def main(arguments: list[str]) -> None:
    """Writes a submission."""
    hydra_app.run(task, verb="submit-isbi", arguments=arguments)


def task(config: DictConfig) -> None:
    """Predicts the test slices and writes the volume."""
    with report_user_errors():
        settings = typed(SubmitSettings, config)
        if settings.output.exists() and not settings.overwrite:
            raise ConfigError(f"{settings.output} already exists", hint="add overwrite=true, or choose another output")
        runs = runs_of(settings.run, settings.comparison, settings.runs_dir)
        with tqdm(total=NUM_SLICES * len(runs), desc="predict", unit="slice") as bar:
            volume = predict_test_slices(
                runs, checkpoint=settings.checkpoint, views=settings.views, slice_done=bar.update
            )
        write_volume(volume, settings.output)
        print(
            f"written: {settings.output}, {volume.shape[0]} slices of {volume.shape[1]} x {volume.shape[2]}, float32, "
            f"0 = membrane, 1 = not membrane; mean of {counted(len(runs), 'run')}, {counted(settings.views, 'view')}"
        )
