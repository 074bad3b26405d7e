"""Loggers other than W&B, such as CSV or TensorBoard: Lightning loggers that mirror the run's record.

Every attempt of a run starts an empty log and sends the whole history so far, so that the log of the latest attempt is
complete, without duplicates, however often the training was interrupted.
"""

import contextlib
import inspect
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers.logger import Logger

from unet_repro.config import make
from unet_repro.errors import ConfigError, install_extra
from unet_repro.runs.recorder import Recorder
from unet_repro.tracking.finished import about

EXTRAS = ("mlflow", "trackio")  # loggers of conf/logger whose packages are optional


def make_loggers(config: Mapping[str, Any], *, directory: Path, source: str) -> list[Logger]:
    """Builds the loggers of a run except W&B.

    A constructor with a parameter ``save_dir`` receives the run's folder, and one with a parameter ``run`` receives the
    run's ``project``, ``run_id``, ``name``, ``group``, ``tags`` and ``job_type``, unless the configuration sets them.

    Args:
        config: The resolved configuration, as plain containers.
        directory: The run's folder; its name is the run id.
        source: Name of the data source.

    Raises:
        ConfigError: If a logger's package is not installed, or a target is not a Lightning logger or rejects its
            arguments.
    """
    supplied = {"save_dir": str(directory), "run": about(config, run_id=directory.name, source=source)}
    loggers = []
    for name, node in (config["logger"].get("others") or {}).items():
        accepted = inspect.signature(get_object(node["_target_"])).parameters
        extra = {key: value for key, value in supplied.items() if key in accepted and key not in node}
        try:
            logger = make(f"logger.{name}", node, **extra)
        except ConfigError as error:
            if (package := _missing_package(error)) is not None:
                command = install_extra(name) if name in EXTRAS else f"pip install {package}"
                raise ConfigError(
                    f"logger={name} needs a package that is not installed", hint=f"run `{command}`"
                ) from error
            raise
        if not isinstance(logger, Logger):
            raise ConfigError(
                f"logger.{name}._target_={node['_target_']} is not a Lightning logger",
                hint="name a subclass of lightning.pytorch.loggers.Logger",
            )
        loggers.append(logger)
    return loggers


def _missing_package(error: BaseException | None) -> str | None:
    """The name of the package whose absence is among an error's causes; ``None`` if that is not the reason."""
    while error is not None and not isinstance(error, ImportError):
        error = error.__cause__
    return None if error is None else error.name or "it"


def remove_earlier(loggers: Sequence[Logger], directory: Path) -> None:
    """Removes the log files of earlier attempts from the run's folder, before Lightning opens the loggers."""
    for logger in loggers:
        folder = getattr(logger, "log_dir", None)
        if folder is not None and directory.resolve() in Path(folder).resolve().parents:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)


class LoggerMirror(Callback):
    """Sends the recorder's rows to loggers, so that they show the same steps and numbers as ``history.csv``.

    Args:
        loggers: The loggers.
        recorder: The recorder; it must precede this callback in the trainer's list.
        settings: The run's settings, sent once as hyperparameters.
    """

    def __init__(self, loggers: Sequence[Logger], recorder: Recorder, settings: Mapping[str, Any]) -> None:
        self.loggers, self.recorder, self.settings = loggers, recorder, settings
        self._num_sent = -1  # -1: nothing, not even the settings

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Sends the settings, and the rows of earlier attempts."""
        self._send()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Sends the row of this validation."""
        self._send()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Sends everything if there was nothing left to train."""
        self._send()

    def _send(self) -> None:
        if self._num_sent < 0:
            self._num_sent = 0
            for logger in self.loggers:
                logger.log_hyperparams(dict(self.settings))
        for row in self.recorder.rows[self._num_sent :]:
            measures = {key: value for key, value in row.items() if key != "step"}
            for logger in self.loggers:
                logger.log_metrics(measures, step=int(row["step"]))
                logger.save()
        self._num_sent = len(self.recorder.rows)
