"""Loggers for MLflow and Trackio. Both packages are optional, and imported only by a run that uses them.

A run has one log there: an attempt that resumes a training replaces the log of the attempt before it.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.loggers.logger import Logger

RUN_TAG = "unet_repro.run_id"


class MlflowLog(MLFlowLogger):
    """A run in MLflow, in the experiment of the W&B project's name.

    Args:
        run: Its project, run id, name, group, tags and job type; see ``tracking.finished.about``.
        tracking_uri: MLflow's server, or a local store.
    """

    def __init__(self, *, run: Mapping[str, Any], tracking_uri: str) -> None:
        tags = {RUN_TAG: run["run_id"], "group": run["group"], "tags": ", ".join(run["tags"])}
        super().__init__(run["project"], run_name=run["name"], tracking_uri=tracking_uri, tags=tags)

    def log_hyperparams(self, params: Any) -> None:
        """Removes the log of an earlier attempt, and sends the settings; called once, first."""
        same = f"tags.`{RUN_TAG}` = '{(self.tags or {})[RUN_TAG]}'"
        for earlier in self.experiment.search_runs([self.experiment_id], filter_string=same):
            if earlier.info.run_id != self.run_id:
                self.experiment.delete_run(earlier.info.run_id)
        super().log_hyperparams(params)


class TrackioLog(Logger):
    """A run in Trackio, in the project of the W&B project's name.

    Args:
        run: Its project, run id, name, group, tags and job type; see ``tracking.finished.about``.
        space_id: Hugging Face space that shows it; ``None`` for the local dashboard.
    """

    def __init__(self, *, run: Mapping[str, Any], space_id: str | None = None) -> None:
        import trackio  # noqa: PLC0415  (optional)

        self.trackio, self.run, self.space_id = trackio, run, space_id
        self.log: Any = None

    @property
    def name(self) -> str:
        """Its name, unique within the project."""
        return f"{self.run['name']} ({self.run['run_id']})"

    @property
    def version(self) -> str:
        """The run id."""
        return str(self.run["run_id"])

    def log_hyperparams(self, params: Any) -> None:
        """Removes the log of an earlier attempt, and opens one with the settings; called once, first."""
        project = self.run["project"]
        if self.space_id is None:
            with contextlib.suppress(ValueError):  # the project does not exist yet
                for earlier in self.trackio.Api().runs(project):
                    if earlier.name == self.name:
                        earlier.delete()
        self.log = self.trackio.init(
            project,
            name=self.name,
            group=self.run["group"],
            space_id=self.space_id,
            config=dict(params),
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Sends one row."""
        self.log.log(dict(metrics), step=step)

    def finalize(self, status: str) -> None:  # noqa: ARG002
        """Closes the log."""
        if self.log is not None:
            self.log.finish()
