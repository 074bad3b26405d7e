"""The studies of a search, one for each arm: suggests trials, trains them, records and shows the results."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from hydra.core.utils import JobReturn
from omegaconf import DictConfig
from optuna.trial import FrozenTrial

from unet_repro.config import TrainConfig, check
from unet_repro.errors import ConfigError, GeometryError
from unet_repro.files import sha256
from unet_repro.inspection.planned import planned
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.identity import CODE_VERSION, numbers_of
from unet_repro.runs.ledger import Entry, unique
from unet_repro.search.space import parse_space, values_of
from unet_repro.search.study import (
    alone,
    finished,
    give_up,
    next_trials,
    open_study,
    overrides_of,
    packed,
    settle,
    study_name,
)
from unet_repro.search.table import show
from unet_repro.sweep.plan import entry_of
from unet_repro.sweep.run_all import MAX_IN_VAIN, train_all
from unet_repro.training.build import DataReader, run_folder

Compose = Callable[[list[str]], DictConfig]
_LEARNING_RATE = "optimizer.lr=tag(log,interval(1e-5,1e-2))"
LOSSES = ("val/loss", "train/loss", "train/ce")  # measures of the history for which smaller is better


@dataclass(frozen=True)
class Arm:
    """What the trials of one study share.

    Attributes:
        name: Name of the arm in the experiment.
        overrides: Overrides of all trials, without a trial's own settings.
        config: Its configuration without a trial's settings.
        journal: The study's file.
        compose: Composes overrides to a configuration.
        read: Reads the data of a configuration.
    """

    name: str
    overrides: tuple[str, ...]
    config: TrainConfig
    journal: Path
    compose: Compose
    read: DataReader

    def trained(self, overrides: Sequence[str]) -> TrainConfig:
        """The checked configuration of a trial."""
        return planned(self.compose([*self.overrides, *overrides]), self.read)

    def entry(self, overrides: Sequence[str]) -> Entry:
        """A trial's run.

        Raises:
            ConfigError: If its settings are not valid.
            GeometryError: If its tile size is not legal.
        """
        full = [*self.overrides, *overrides]
        return entry_of(self.config, self.trained(overrides), self.name, full, (), read=self.read)


# Trains trials: takes their runs, and the data that each job receives about its trial, by run id.
LaunchTrials = Callable[[Sequence[Entry], Mapping[str, str]], Sequence[JobReturn]]


@dataclass(frozen=True)
class Search:
    """Settings of a search; see ``conf/hydra/sweeper/search.yaml``."""

    trials: int
    measure: str
    seed: int
    startup_trials: int
    warmup_share: float
    space: tuple[str, ...]
    at_once: int
    runs_dir: Path

    def __post_init__(self) -> None:
        """Checks the settings before any work."""
        if self.trials < 1:
            raise ConfigError(f"hydra.sweeper.trials={self.trials} must be at least 1", hint="use 1 or more")
        if self.startup_trials < 0 or self.seed < 0:
            raise ConfigError(
                f"hydra.sweeper.startup_trials={self.startup_trials} or hydra.sweeper.seed={self.seed} is negative",
                hint="use 0 or more",
            )
        if not 0 <= self.warmup_share <= 1:
            raise ConfigError(f"hydra.sweeper.warmup_share={self.warmup_share} must be in [0, 1]", hint="use 0 to 1")
        if self.measure not in LOSSES:
            raise ConfigError(
                f"hydra.sweeper.measure={self.measure} cannot be minimised", hint=f"use one of {', '.join(LOSSES)}"
            )
        parse_space(self.space)

    def study(self, arm: Arm) -> optuna.Study:
        """Opens the arm's study for the next batch."""
        return open_study(
            arm.journal, seed=self.seed, startup_trials=self.startup_trials, warmup_steps=self._warmup(arm)
        )

    def run(self, arm: Arm, launch: LaunchTrials) -> list[str]:
        """Trains the arm's trials until there are enough, and shows them.

        A trial that fails for a reason other than divergence is left for the next start, and the others continue. If
        all trials fail, as on a full disk, no new ones are suggested, since the sampler could not learn from them.

        Returns:
            A line for each trial that is still open.
        """
        space = parse_space(self.space)
        open_trials: dict[int, str] = {}
        in_vain = 0
        with alone(arm.journal):
            while in_vain <= MAX_IN_VAIN:
                study = self.study(arm)
                batch = next_trials(
                    study, wanted=self.trials, at_once=self.at_once, space=space, without=open_trials
                )  # fmt: skip
                if not batch:
                    break
                done = sum(trial.state.is_finished() for trial in study.trials)
                print(f"{arm.name}: {done} of {self.trials} trials", flush=True)
                left_open = self._train(arm, study, batch, launch)
                open_trials |= left_open
                in_vain = in_vain + 1 if len(left_open) == len(batch) else 0
            self._show(arm)
        return [f"{arm.name}, {line}" for line in open_trials.values()]

    def best(self, arm: Arm) -> list[str]:
        """Overrides of the arm's best trial.

        Raises:
            ConfigError: If no trial was completed.
        """
        trials = finished(self.study(arm))
        if not trials:
            raise ConfigError(f"no trial of {arm.name!r} was completed", hint="search lower rates, or use more trials")
        return overrides_of(trials[0])

    def _train(
        self, arm: Arm, study: optuna.Study, batch: Sequence[FrozenTrial], launch: LaunchTrials
    ) -> dict[int, str]:
        """Trains trials and records their results; returns the reasons of those that stay open, by number.

        Trials with equal settings share one run: it is trained once, and all of them get its result.
        """
        entries: dict[int, Entry] = {}
        job_data: dict[str, str] = {}
        for trial in batch:
            try:
                entry = arm.entry(overrides_of(trial))
            except (ConfigError, GeometryError) as error:  # values that are valid, but not in combination
                give_up(study, trial, state="refused", reason=error.what)
                continue
            entries[trial.number] = entry
            job_data.setdefault(entry.run_id, packed(self._about(arm, trial)))
        reasons: dict[str, object] = {}

        def launch_trials(asked: Sequence[Entry]) -> Sequence[JobReturn]:
            returns = launch(asked, job_data)
            for entry, job in zip(asked, returns, strict=True):
                reasons[entry.run_id] = job._return_value  # the public property would print and raise
            return returns

        failed = train_all(unique(entries.values()), self.runs_dir, launch_trials, show_line=_say)
        left_open = {}
        for trial in batch:
            if (own := entries.get(trial.number)) is None:
                continue
            line = settle(
                study,
                trial,
                result=RunFolder(self.runs_dir / own.run_id).result(),
                reason=reasons.get(own.run_id, "; ".join(failed)),
                measure=self.measure,
            )
            if line is not None:
                left_open[trial.number] = line
        return left_open

    def _about(self, arm: Arm, trial: FrozenTrial) -> dict[str, str | int]:
        return {
            "journal": str(arm.journal.resolve()),
            "number": trial.number,
            "measure": self.measure,
            "startup_trials": self.startup_trials,
            "warmup_steps": self._warmup(arm),
        }

    def _warmup(self, arm: Arm) -> int:
        return round(self.warmup_share * arm.config.trainer.max_steps)

    def _show(self, arm: Arm) -> None:
        study = self.study(arm)
        run_ids = {
            trial.number: run_folder(config := arm.trained(overrides_of(trial)), arm.read(config)).run_id
            for trial in study.trials
            if trial.state.is_finished() and trial.user_attrs.get("state") != "refused"
        }
        show(
            study,
            arm.name,
            arm.journal,
            measure=self.measure,
            searched=list(parse_space(self.space)),
            run_ids=run_ids,
            arm=arm.overrides,
        )


def _check_not_searched(arm: str, own: Iterable[str], space: Iterable[str]) -> None:
    """Refuses to search what defines an arm: a trial's value would replace the arm's."""
    fixed = {text.partition("=")[0].lstrip("+"): text for text in own}
    for key in space:
        if key.lstrip("+") in fixed:
            raise ConfigError(
                f"the arm {arm!r} has {fixed[key.lstrip('+')]}, but hydra.sweeper.space searches {key} for all arms",
                hint=f"give a search space without it, such as 'hydra.sweeper.space=[{_LEARNING_RATE}]'",
            )


def _say(line: str) -> None:
    print(line, flush=True)


def arms_of(compose: Compose, given: Sequence[str], search: Search) -> list[Arm]:
    """The arms of the experiment, or one arm with the given setting; checks everything before any trial.

    Raises:
        UserError: If the configuration or a value of the space is invalid, or a study is damaged.
    """
    base = check(compose(list(given)))
    named = base.experiment.arms if base.experiment else {}
    arms = []
    read = DataReader()
    space = parse_space(search.space)
    for name, own in named.items() or [("search", [])]:
        _check_not_searched(name, own, space)
        overrides = [*given, *own, *([f"arm={json.dumps(name)}"] if named else [])]
        config = planned(compose(overrides), read)
        shared = [
            {**numbers_of(config), "data": read(config).manifest["digest"]},
            CODE_VERSION, search.space, search.measure, search.seed,
        ]  # fmt: skip
        digest = sha256(json.dumps(shared, sort_keys=True))[:12]
        journal = search.runs_dir / "search" / f"{study_name(name, digest)}.journal"
        arms.append(Arm(name, tuple(overrides), config, journal, compose, read))
    for arm in arms:
        for key, distribution in space.items():
            for value in values_of(distribution):
                arm.entry([f"{key}={value}"])
    for arm in arms:
        search.study(arm)
    return arms
