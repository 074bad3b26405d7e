"""Hydra's sweeper for comparisons: the product of swept values, times the arms of the experiment, seed by seed.

Hydra finds it here by the name of the namespace package. Under any launcher: runs are idempotent, so a sweep that was
stopped goes on when it is started again, and finished runs are not even launched.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


class ArmsSweeper(Sweeper):
    """Plans, trains what is not done, and renews the tables as runs finish."""

    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what Hydra hands over and makes the launcher."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Runs the sweep; leaves with status 1 and a list of reasons if a run failed."""
        # Here, not above: Hydra imports every plugin at every start, and torch is slow to import.
        from unet_repro.console import told_to_user  # noqa: PLC0415
        from unet_repro.errors import SweepFailed  # noqa: PLC0415
        from unet_repro.report.table import write_tables  # noqa: PLC0415
        from unet_repro.runs.folder import RunFolder  # noqa: PLC0415
        from unet_repro.trial.ledger import Ledger, unique  # noqa: PLC0415
        from unet_repro.trial.plan import plan  # noqa: PLC0415
        from unet_repro.trial.progress import SweepProgress  # noqa: PLC0415

        runs_dir = Path(self.config.runs_dir)
        with told_to_user():
            entries = plan(self._compose, self._combinations(arguments))
            Ledger(runs_dir).record(entries)
            experiments = list(dict.fromkeys(entry.experiment for entry in entries))
            waiting = [
                entry for entry in unique(entries) if not RunFolder(runs_dir / entry.run_id).result_file.exists()
            ]
            returns: Sequence[JobReturn] = []
            if waiting:
                with SweepProgress(unique(entries), runs_dir, partial(write_tables, runs_dir, experiments)):
                    returns = self.launcher.launch(
                        [[*entry.overrides, "trainer.progress=false"] for entry in waiting], initial_job_idx=0
                    )
            write_tables(runs_dir, experiments)
        failed = [
            (entry, job._return_value)  # the public property would print and raise
            for entry, job in zip(waiting, returns, strict=True)
            if job.status != JobStatus.COMPLETED
        ]
        if failed:
            lines = [
                f"{e.experiment}, {e.arm}, seed {e.seed} ({runs_dir / e.run_id}): {reason}" for e, reason in failed
            ]
            raise SweepFailed("\n".join([f"{len(failed)} of {len(waiting)} runs failed:", *lines]))
        return list(returns)

    def _compose(self, overrides: list[str]) -> DictConfig:
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            del config["hydra"]
        return config

    def _combinations(self, arguments: list[str]) -> list[list[str]]:
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # noqa: PLC0415

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return BasicSweeper.split_arguments(parser.parse_overrides(arguments), max_batch_size=None)[0]
