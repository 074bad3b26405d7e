"""The training pipeline: trains one run, or returns its result if it is done. The stages are in other modules."""

import traceback
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig

from unet_repro.errors import Abandoned, RunHeld, Stopped
from unet_repro.inspection.planned import planned
from unet_repro.inspection.text import say_inspected
from unet_repro.machine import check_device
from unet_repro.runs.checkpoint import weights_sha256
from unet_repro.runs.lease import Lease
from unet_repro.runs.network import describe_network
from unet_repro.runs.provenance import provenance
from unet_repro.runs.recorder import OnRow, Recorder
from unet_repro.runs.stopping import StopRequest
from unet_repro.tracking.loggers import make_loggers
from unet_repro.tracking.mirror import answer_agent, mirror_finished, mirrors
from unet_repro.tracking.step_bar import StepBar
from unet_repro.training.build import DataReader, Training, prepare, run_folder
from unet_repro.training.fit import fit, recorder_of

Result = dict[str, Any]


def train(composed: DictConfig, *, on_row: OnRow | None = None) -> Result:
    """Trains the run that a composed configuration describes; the result of a finished run is returned at once.

    Args:
        composed: The configuration.
        on_row: Called with each row of history, including those of earlier attempts, but not for a run that is already
            done; its exceptions end the training.

    Returns:
        The content of ``result.json``.

    Raises:
        UserError: For problems that the user can fix, before the training if possible.
        RunHeld: If another process is training it.
        Stopped: After SIGTERM, Ctrl-C or a scheduler's warning, with a checkpoint written.
        Abandoned: If ``on_row`` raises it.
    """
    read = DataReader()
    config = planned(composed, read)
    check_device(config.trainer.accelerator, config.trainer.devices, compiles=config.trainer.compile)
    source = read(config)
    folder = run_folder(config, source)
    if (result := folder.result()) is not None:
        answer_agent(config, folder, source=source.name)
        return result
    say_inspected(read, config)
    training = prepare(config, source, folder)
    loggers = make_loggers(config.plain(), directory=folder.path, source=source.name)
    stop = StopRequest()
    try:
        with folder.hold() as lease:
            if (result := folder.result()) is not None:  # another process was quicker
                answer_agent(config, folder, source=source.name)
                return result
            folder.begin(config.plain(), source.manifest)
            return _attempt(training, loggers, lease=lease, stop=stop, on_row=on_row)
    except Stopped as stopped:
        # A scheduler's handler requeues the job and exits; the checkpoint is written and the run is released.
        if (handler := stop.previous_handler(stopped.signum)) is not None:
            handler(stopped.signum, None)
        raise


def _attempt(
    training: Training, loggers: Sequence[Logger], *, lease: Lease, stop: StopRequest, on_row: OnRow | None
) -> Result:
    """Trains to the end, or leaves what the next attempt needs."""
    config, folder, data = training.config, training.folder, training.tiles
    describe_network(
        folder,
        data.normalisation,
        data.class_names,
        numbers_objects=training.source.numbers_objects,
        appearance=data.appearance(),
    )
    try:
        recorder = recorder_of(training, lease=lease, stop=stop, on_row=on_row)
        bar = [StepBar()] if config.trainer.progress else []
        data.setup("fit")
        with mirrors(training, recorder, loggers) as opened:
            fit(training, recorder, mirrors=[*opened, *bar], loggers=loggers)
            recorder.write_best()
        result = _result(training, recorder)
        lease.confirm()
        proven = {**recorder.provenance(), **folder.placement(), "made_by": provenance(config.trainer.accelerator)}
        mirror_finished(training, recorder, {**proven, **result})
        folder.finish(result, proven)
    except (Abandoned, RunHeld):
        raise
    except Exception as error:
        lease.confirm()  # a run that another process has taken over has not failed
        folder.fail(f"{type(error).__name__}: {error}", traceback.format_exc())
        raise
    return result


def _result(training: Training, recorder: Recorder) -> Result:
    """The run's result: a function of configuration and data, independent of interruptions."""
    config, task = training.config, training.task
    return {
        "run_id": training.folder.run_id,
        "data": training.source.name,
        "scale": config.scale,
        "seed": config.seed,
        "steps": config.trainer.max_steps,
        "batch": asdict(training.tiles.batch),
        "parameters": sum(parameter.numel() for parameter in task.net.parameters()),
        "final": recorder.rows[-1],
        "best": recorder.best,
        "weights": {"last": weights_sha256(task.state_dict()), "best": weights_sha256(recorder.best_weights)},
    }
