"""``unet-repro predict``."""

import sys

from omegaconf import DictConfig

from unet_repro.commands import hydra_app
from unet_repro.commands.arguments import with_model
from unet_repro.config import typed
from unet_repro.console import report_user_errors
from unet_repro.errors import PredictionsFailed
from unet_repro.files import counted
from unet_repro.predict import predict
from unet_repro.prediction.jobs import PredictSettings


def main(arguments: list[str]) -> None:
    """Predicts images."""
    hydra_app.run(task, verb="predict", arguments=with_model(arguments))


def task(config: DictConfig) -> None:
    """Predicts all images, and lists those that failed."""
    with report_user_errors():
        settings = typed(PredictSettings, config)
        outcome = predict(settings)
        for note in outcome.notes:
            print(f"note: {note}", file=sys.stderr)
        if outcome.written:
            single = len(outcome.written) == 1
            print(f"written: {outcome.written[0] if single else f'{len(outcome.written)} images in {settings.output}'}")
        if outcome.failures:
            raise PredictionsFailed(
                "\n".join([f"{counted(len(outcome.failures), 'image')} failed:", *outcome.failures])
            )
