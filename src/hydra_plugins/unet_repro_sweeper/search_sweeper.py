"""Hydra sweeper for a search: a study for each arm of the experiment, with its trials trained by the launcher.

Hydra finds it by the name of the namespace package; ``unet-repro search`` selects it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn

from hydra_plugins.unet_repro_sweeper.arms_sweeper import ArmsSweeper

if TYPE_CHECKING:
    from unet_repro.runs.ledger import Entry


class SearchSweeper(ArmsSweeper):
    """Searches, shows the trials, and, if ``final_seeds`` are given, trains the best settings as a comparison.

    Args:
        trials: Total number of trials of each arm.
        measure: Measure of the last validation that is minimised.
        seed: Seed of the sampler.
        startup_trials: Random trials before the sampler and the pruner take effect.
        warmup_share: Share of the steps before which no trial is pruned.
        final_seeds: Seeds of the comparison of the best settings.
        space: The search space.
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
            An empty list: results are in the journals and the runs' folders.

        Raises:
            SweepFailed: If trials or final runs failed for a reason other than divergence; the next start retries them.
        """
        # Imported here because Hydra imports every plugin at every start.
        from unet_repro.console import report_user_errors  # noqa: PLC0415
        from unet_repro.errors import ConfigError, SweepFailed  # noqa: PLC0415
        from unet_repro.search.compare import check_final, compare_best  # noqa: PLC0415
        from unet_repro.search.search import Search, arms_of  # noqa: PLC0415
        from unet_repro.sweep.dry_run import check_launcher, side_by_side  # noqa: PLC0415

        with report_user_errors():
            combinations = self._combinations(arguments)
            if len(combinations) != 1:
                raise ConfigError(
                    f"a search starts from one setting, but {len(combinations)} were given",
                    hint="give each override one value; define the search space in hydra.sweeper.space",
                )
            (given,) = combinations
            check_launcher(self.config.hydra.launcher, self._compose(given).trainer.accelerator)
            if not self.config.hydra.launcher.get("wait", True):
                raise ConfigError(
                    "hydra.launcher.wait=false, but a search waits for its trials to suggest the next ones",
                    hint="leave it out, and start the search in tmux or as a small job",
                )
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
            raise SweepFailed("\n".join(["the search is not finished; the same command retries:", *failures]))
        return []

    def _launch_trials(self, entries: Sequence["Entry"], about: Mapping[str, str]) -> Sequence[JobReturn]:
        """Trains trials; each job receives its trial through an environment variable."""
        from unet_repro.search import TRIAL_VARIABLE  # noqa: PLC0415

        more = {run_id: [f"+hydra.job.env_set.{TRIAL_VARIABLE}='{text}'"] for run_id, text in about.items()}
        return self._launch(entries, more)
