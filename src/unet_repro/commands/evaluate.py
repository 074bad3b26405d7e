"""``unet-repro evaluate``."""

import json
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from unet_repro.commands import hydra_app
from unet_repro.console import told_to_user
from unet_repro.errors import ConfigError
from unet_repro.evaluate import evaluate
from unet_repro.report.crops import draw_crops


def main(arguments: list[str]) -> None:
    """Measures a run."""
    hydra_app.run(task, name="evaluate", arguments=arguments)


def task(config: DictConfig) -> dict[str, Any]:
    """Writes the measures beside the run, and prints those of all images together."""
    with told_to_user():
        if OmegaConf.is_missing(config, "run"):
            raise ConfigError("no run is named", mend="add run=runs/<run_id>")
        done = evaluate(Path(config.run), part=config.part, checkpoint=config.checkpoint)
        picture = done.path.with_suffix(".png")
        draw_crops(done.images[:2], done.predictions[:2], picture, class_names=done.class_names)
        print(json.dumps({key: value for key, value in done.measures.items() if key != "images"}, indent=1))
        print(f"written: {done.path} (per image), {picture}", file=sys.stderr)
    return done.measures
