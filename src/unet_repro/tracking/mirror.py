"""What a training asks of W&B: one call before it, for online runs, and one after it, for offline runs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from unet_repro.tracking.finished import about, write_finished
from unet_repro.tracking.grouping import KEY, groupable
from unet_repro.tracking.wandb_run import open_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from unet_repro.config import TrainConfig
    from unet_repro.data.datamodule import TileData, WholeImages
    from unet_repro.runs.recorder import Recorder
    from unet_repro.tracking.callback import WandbMirror
    from unet_repro.training.task import SegmentationTask


@contextmanager
def online_mirror(
    config: TrainConfig, *, source: str, recorder: Recorder, data: TileData
) -> Iterator[list[WandbMirror]]:
    """Opens the W&B run of a training, or resumes it, and ends it with the block.

    Args:
        config: The training's configuration.
        source: Name of the data source.
        recorder: Stands before the mirror among the trainer's callbacks; its folder is named by the run's identity.
        data: Set up for fitting.

    Yields:
        The callback; none unless ``logger.mode`` is ``online``.

    Raises:
        UserError: If there is no API key or no answer.
    """
    if config.logger.mode != "online":
        yield []
        return
    from unet_repro.tracking.callback import WandbMirror  # noqa: PLC0415  (imports wandb, which is slow)

    plain, directory = asdict(config), recorder.folder.path
    run = open_run(
        mode="online",
        **about(plain, run_id=directory.name, source=source),
        config={**plain, KEY: groupable(plain, run_id=directory.name, source=source)},
        directory=directory,
        class_names=data.class_names,
    )
    assert run is not None, "only disabled runs are None"
    mirror = WandbMirror(
        run,
        recorder,
        images=data.val_images,
        class_names=data.class_names,
        num_images=config.logger.panel_images,
    )
    try:
        yield [mirror]
    except BaseException:
        mirror.close(exit_code=1)
        raise
    mirror.close()


def mirror_finished(
    config: TrainConfig,
    *,
    directory: Path,
    rows: Sequence[Mapping[str, float]],
    outcome: Mapping[str, Any],
    task: SegmentationTask,
    images: WholeImages,
    class_names: Sequence[str],
) -> None:
    """Writes the offline W&B run of a training that has come to its end; nothing unless ``logger.mode`` is ``offline``.

    To be called before the result is written: an attempt that is killed in here is then taken up again, and the next
    one writes the W&B run anew. So a finished training has exactly one, whole.

    Args:
        config: The training's configuration.
        directory: The run's folder.
        rows: Its whole history.
        outcome: Its result together with its provenance.
        task: The trained network.
        images: The validation images.
        class_names: Names of class 0, 1, ...

    Raises:
        UserError: If the folder cannot be written, or W&B does not complete its file.
    """
    if config.logger.mode != "offline":
        return
    from unet_repro.tracking.callback import validation_panel  # noqa: PLC0415  (imports wandb, which is slow)

    panel = validation_panel(task, images, class_names=class_names, num_images=config.logger.panel_images)
    write_finished(directory, config=asdict(config), rows=rows, outcome=outcome, panel=panel)
