"""Hydra's sweeper for a search: a study for each arm of the experiment, its trials trained by the launcher.

Hydra finds it here by the name of the namespace package; ``unet-repro search`` chooses it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn

from hydra_plugins.unet_repro_sweeper.arms_sweeper import ArmsSweeper

if TYPE_CHECKING:
    from unet_repro.sweep.ledger import Entry


class SearchSweeper(ArmsSweeper):
    """Searches, shows the trials, and trains the best settings as a comparison if seeds for that are named.

    Args:
        trials: Of each arm, in all.
        measure: What the last validation is judged by; the smaller the better.
        seed: Of the sampler.
        startup_trials: At random, before the sampler learns and the pruner judges.
        warmup_share: Of the steps, before which no trial is pruned.
        final_seeds: Seeds of the comparison of the best settings.
        space: What is searched.
    """

    def __init__(
        self,
        *,
        trials: int,
        measure: str,
        seed: int,
        startup_trials: int,
        warmup_share: float,
        final_seeds: Sequence[int],
        space: Sequence[str],
    ) -> None:
        super().__init__(dry_run=False)
        self.trials, self.measure, self.seed = trials, measure, seed
        self.startup_trials, self.warmup_share = startup_trials, warmup_share
        self.final_seeds, self.space = list(final_seeds), tuple(space)

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Runs the search.

        Returns:
            Nothing: journals and runs' folders hold what came of it.

        Raises:
            SweepFailed: If trials or final runs failed otherwise than by diverging; the next start tries them again.
        """
        # Here, not above: Hydra imports every plugin at every start.
        from unet_repro.console import told_to_user  # noqa: PLC0415
        from unet_repro.errors import ConfigError, SweepFailed  # noqa: PLC0415
        from unet_repro.search.compare import check_final, compare_best  # noqa: PLC0415
        from unet_repro.search.search import Search, arms_of  # noqa: PLC0415
        from unet_repro.sweep.dry_run import check_launcher, side_by_side  # noqa: PLC0415

        with told_to_user():
            combinations = self._combinations(arguments)
            if len(combinations) != 1:
                raise ConfigError(
                    f"a search has one setting to begin with, and {len(combinations)} were given",
                    hint="give each override one value; what is searched stands in hydra.sweeper.space",
                )
            (given,) = combinations
            check_launcher(self.config.hydra.launcher, self._compose(given).trainer.accelerator)
            search = Search(
                trials=self.trials,
                measure=self.measure,
                seed=self.seed,
                startup_trials=self.startup_trials,
                warmup_share=self.warmup_share,
                space=self.space,
                at_once=side_by_side(self.config.hydra.launcher),
                runs_dir=Path(self.config.runs_dir),
            )
            arms = arms_of(self._compose, given, search)
            check_final(arms, self.final_seeds)
            open_trials = [line for arm in arms for line in search.run(arm, self._launch_trials)]
            failures = open_trials or (
                compare_best(arms, search, self.final_seeds, self._launch) if self.final_seeds else []
            )
        if failures:
            raise SweepFailed("\n".join(["the search is not finished; the same command tries again:", *failures]))
        return []

    def _launch_trials(self, entries: Sequence["Entry"], told: Mapping[str, str]) -> Sequence[JobReturn]:
        """Trains trials; their jobs are told, by their environment, which trial each is."""
        from unet_repro.search.study import VARIABLE  # noqa: PLC0415

        return self.launcher.launch(
            [
                [
                    *entry.overrides, "trainer.progress=false", f"hydra.job.name={entry.run_id}",
                    f"+hydra.job.env_set.{VARIABLE}='{told[entry.run_id]}'",
                ]
                for entry in entries
            ],
            initial_job_idx=0,
        )  # fmt: skip
