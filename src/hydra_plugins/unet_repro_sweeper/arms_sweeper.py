"""Hydra sweeper for comparisons: the product of swept values, times the arms of the experiment, seed by seed.

Hydra finds it by the name of the namespace package. It works with any launcher: runs are idempotent, so a stopped
sweep resumes when it is started again, and finished runs are not launched.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

if TYPE_CHECKING:
    from unet_repro.runs.ledger import Entry


class ArmsSweeper(Sweeper):
    """Plans the runs, trains those not done, and updates the tables as runs finish.

    Args:
        dry_run: Only print the runs, their progress, and the estimated time left.
        only: Arms to be trained, as ``"experiment: arm"``; ``None`` for all.
        summary: Print a table of the runs at the end.
        record: Folder of a published record, such as ``experiments/record/laptop``: its runs are not trained
            again, but join the comparison there.
    """

    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher

    def __init__(
        self, *, dry_run: bool, only: Sequence[str] | None = None, summary: bool = True, record: str | None = None
    ) -> None:
        self.dry_run, self.only, self.summary, self.record = dry_run, only, summary, record

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Stores what Hydra passes in and creates the launcher."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Runs the sweep.

        Returns:
            An empty list: results are in the runs' folders, with any launcher.

        Raises:
            SweepFailed: If runs failed; lists them. All other runs are done.
        """
        # Imported here because Hydra imports every plugin at every start, and torch is slow to import.
        from unet_repro.console import report_user_errors  # noqa: PLC0415
        from unet_repro.errors import Submitted, SweepFailed  # noqa: PLC0415
        from unet_repro.report.table import write_tables  # noqa: PLC0415
        from unet_repro.runs.ledger import Ledger, unique  # noqa: PLC0415
        from unet_repro.sweep.dry_run import check_launcher, print_plan  # noqa: PLC0415
        from unet_repro.sweep.plan import plan  # noqa: PLC0415
        from unet_repro.sweep.progress import SweepProgress  # noqa: PLC0415
        from unet_repro.sweep.run_all import train_all  # noqa: PLC0415
        from unet_repro.sweep.summary import num_done, print_summary  # noqa: PLC0415

        runs_dir = Path(self.config.runs_dir)
        with report_user_errors():
            combinations = self._combinations(arguments)
            check_launcher(self.config.hydra.launcher, self._compose(combinations[0]).trainer.accelerator)
            entries = plan(self._compose, combinations, only=self.only)
            entries = self._without_published(entries)
            if self.dry_run and entries:
                print_plan(entries, runs_dir, self.config.hydra.launcher, self._compose)
            if self.dry_run or not entries:
                return []
            Ledger(runs_dir).record(entries)
            self._tidy(entries, runs_dir)
            if done := num_done(entries, runs_dir):
                print(f"already done: {done} of {len(unique(entries))} runs, which are not trained again", flush=True)
            experiments = list(dict.fromkeys(entry.experiment for entry in entries))
            update_tables = partial(write_tables, runs_dir, experiments)
            try:
                with SweepProgress(unique(entries), runs_dir, update_tables) as progress:
                    failures = train_all(unique(entries), runs_dir, self._launch, show_line=progress.show_line)
                failures += self._evaluate(entries, runs_dir)
            except Submitted as submitted:
                print(f"{submitted}; `unet-repro sweep-status` shows their progress", flush=True)
                return []
            self._tidy(entries, runs_dir)
            update_tables()
            if self.summary:
                print_summary(entries, runs_dir)
        if failures:
            raise SweepFailed("\n".join([f"{len(failures)} of {len(unique(entries))} runs failed:", *failures]))
        return []

    def _without_published(self, entries: list["Entry"]) -> list["Entry"]:
        """The entries whose runs are not published; published runs join the comparison."""
        from unet_repro.report.record import RecordOfScale  # noqa: PLC0415

        if self.record is None:
            return entries
        record = RecordOfScale(Path(self.record))
        left = record.lacking(entries)
        if found := len(entries) - len(left):
            print(f"on record: {found} of {len(entries)} runs, which are not trained again", flush=True)
        if not self.dry_run:
            record.join(entries)
        return left

    def _evaluate(self, entries: Sequence["Entry"], runs_dir: Path) -> list[str]:
        """Runs the experiments' evaluations on trained runs; most runs did this at their end."""
        from unet_repro.evaluation.evaluations import is_evaluated  # noqa: PLC0415
        from unet_repro.runs.folder import RunFolder  # noqa: PLC0415
        from unet_repro.sweep.progress import SweepProgress  # noqa: PLC0415
        from unet_repro.sweep.run_all import train_all  # noqa: PLC0415

        def is_done(entry: "Entry") -> bool:
            return is_evaluated(runs_dir / entry.run_id, entry.evaluations)

        trained = [entry for entry in entries if RunFolder(runs_dir / entry.run_id).is_done]
        distinct = {(entry.run_id, entry.evaluations): entry for entry in trained if not is_done(entry)}
        if not distinct:
            return []
        waiting = list(distinct.values())
        with SweepProgress(waiting, runs_dir, lambda: None, is_done=is_done, doing="runs evaluated") as progress:
            return train_all(waiting, runs_dir, self._launch, show_line=progress.show_line, is_done=is_done)

    def _tidy(self, entries: Sequence["Entry"], runs_dir: Path) -> None:
        """Removes what SLURM's jobs of finished runs have left."""
        from unet_repro.evaluation.evaluations import is_evaluated  # noqa: PLC0415
        from unet_repro.runs.folder import RunFolder  # noqa: PLC0415
        from unet_repro.sweep.slurm_orders import remove_orders  # noqa: PLC0415

        def is_over(entry: "Entry") -> bool:
            run = RunFolder(runs_dir / entry.run_id)
            return run.is_done and is_evaluated(run.path, entry.evaluations)

        if (runs_dir / "slurm").is_dir():
            remove_orders(runs_dir, {entry.run_id for entry in entries if is_over(entry)})

    def _launch(
        self, entries: Sequence["Entry"], more: Mapping[str, Sequence[str]] | None = None
    ) -> Sequence[JobReturn]:
        """Trains runs, with further overrides of some by run id; notes that were printed are not repeated."""
        from unet_repro.console import all_said  # noqa: PLC0415

        overrides = [
            [
                *entry.overrides, "trainer.progress=false", f"hydra.job.name={entry.run_id}",
                *(more or {}).get(entry.run_id, ()),
            ]
            for entry in entries
        ]  # fmt: skip
        with all_said():
            return self.launcher.launch(overrides, initial_job_idx=0)

    def _compose(self, overrides: list[str]) -> DictConfig:
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            del config["hydra"]
        return config

    def _combinations(self, arguments: list[str]) -> list[list[str]]:
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # noqa: PLC0415

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return BasicSweeper.split_arguments(parser.parse_overrides(arguments), max_batch_size=None)[0]
