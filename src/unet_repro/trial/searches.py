"""The studies of a search, one for each arm: asked, launched, told, shown."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import JobReturn
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unet_repro.config import TrainConfig, check, make
from unet_repro.errors import ConfigError
from unet_repro.files import sha256
from unet_repro.runs.folder import write_atomically
from unet_repro.runs.identity import CODE_VERSION, numbers_of
from unet_repro.train import read_data, run_folder
from unet_repro.trial.search import (
    describe,
    ends_of,
    finished,
    next_trials,
    open_study,
    overrides_of,
    parse_space,
    settle,
    study_name,
)

Compose = Callable[[list[str]], DictConfig]


@dataclass(frozen=True)
class Arm:
    """What the trials of one study share.

    Attributes:
        name: The experiment's name for it.
        overrides: What its trials are composed from, besides their own settings.
        config: Its configuration before any trial's settings.
        journal: The study's file.
        compose: Overrides to configuration.
    """

    name: str
    overrides: tuple[str, ...]
    config: TrainConfig
    journal: Path
    compose: Compose

    def trained(self, overrides: Sequence[str]) -> TrainConfig:
        """The checked configuration of a trial."""
        return check(self.compose([*self.overrides, *overrides]))


LaunchTrials = Callable[[Arm, Sequence[tuple[list[str], str, str]]], Sequence[JobReturn]]


@dataclass(frozen=True)
class Search:
    """How a search goes; see ``conf/hydra/sweeper/search.yaml``."""

    trials: int
    measure: str
    seed: int
    startup_trials: int
    warmup_share: float
    space: tuple[str, ...]
    at_once: int
    runs_dir: Path

    def __post_init__(self) -> None:
        """Refuses what cannot be searched, before any work."""
        if self.trials < 1:
            raise ConfigError(f"hydra.sweeper.trials={self.trials} is none", mend="use 1 or more")
        if not 0 <= self.warmup_share <= 1:
            raise ConfigError(f"hydra.sweeper.warmup_share={self.warmup_share} is no share", mend="use 0 to 1")
        parse_space(self.space)

    def study(self, arm: Arm) -> optuna.Study:
        """The arm's study, for the next batch."""
        return open_study(
            arm.journal, seed=self.seed, startup_trials=self.startup_trials, warmup_steps=self._warmup(arm)
        )

    def run(self, arm: Arm, launch: LaunchTrials) -> list[str]:
        """Trains the arm's trials until there are as many as wanted, and shows them.

        Returns:
            What kept trials from their end, if anything.
        """
        space = parse_space(self.space)
        open_trials: list[str] = []
        while not open_trials:
            study = self.study(arm)
            batch = next_trials(study, wanted=self.trials, at_once=self.at_once, space=space)
            if not batch:
                break
            done = sum(trial.state.is_finished() for trial in study.trials)
            print(f"{arm.name}: {done} of {self.trials} trials", flush=True)
            orders = []
            for trial in batch:
                about = {
                    "journal": str(arm.journal.resolve()), "number": trial.number, "measure": self.measure,
                    "startup_trials": self.startup_trials, "warmup_steps": self._warmup(arm),
                }  # fmt: skip
                run_id = run_folder(arm.trained(overrides_of(trial))).run_id
                orders.append((overrides_of(trial), run_id, json.dumps(about)))
            returns = launch(arm, orders)
            told = [settle(study, trial, job, measure=self.measure) for trial, job in zip(batch, returns, strict=True)]
            open_trials = [f"{arm.name}, {line}" for line in told if line is not None]
        self._show(arm)
        return open_trials

    def best(self, arm: Arm) -> list[str]:
        """Overrides of the arm's best trial.

        Raises:
            ConfigError: If none came to an end.
        """
        trials = finished(self.study(arm))
        if not trials:
            raise ConfigError(f"no trial of {arm.name!r} came to an end", mend="search lower rates, or use more trials")
        return overrides_of(trials[0])

    def _warmup(self, arm: Arm) -> int:
        return round(self.warmup_share * arm.config.trainer.max_steps)

    def _show(self, arm: Arm) -> None:
        """The trials as a table in the terminal and as CSV beside the journal; the best one's command."""
        study = self.study(arm)
        ended = [trial for trial in study.trials if trial.state.is_finished()]
        run_ids = {trial.number: run_folder(arm.trained(overrides_of(trial))).run_id for trial in ended}
        rows = describe(ended, run_ids)
        text = io.StringIO()
        writer = csv.DictWriter(text, ["trial", "state", "value", "run", *parse_space(self.space)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(arm.journal.with_suffix(".csv"), text.getvalue())
        table = Table(title=f"{arm.name}: {self.measure}, smaller is better", title_justify="left", box=SIMPLE_HEAD)
        for heading in ("trial", "state", self.measure, "run", *parse_space(self.space)):
            table.add_column(heading, no_wrap=heading == "run")
        best = finished(study)[:1]
        for row, trial in zip(rows, ended, strict=True):
            cells = [_text(value) for value in row.values()]
            table.add_row(*map(Text, cells), style="bold green" if best and trial.number == best[0].number else None)
        Console().print(table)
        if best:
            print(f"best: unet-repro train {' '.join([*arm.overrides, *overrides_of(best[0])])}")
        print(f"written: {arm.journal.with_suffix('.csv')}", flush=True)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def arms_of(compose: Compose, given: Sequence[str], search: Search) -> list[Arm]:
    """The arms of the experiment, or the one setting that was given; everything is checked before any trial.

    Raises:
        UserError: For a configuration, or a value of the space, that no trial could use.
    """
    base = check(compose(list(given)))
    named = base.experiment.arms if base.experiment else {}
    arms = []
    for name, own in named.items() or [("search", [])]:
        overrides = [*given, *own, *([f"arm={json.dumps(name)}"] if named else [])]
        config = check(compose(overrides))
        shared = [
            {**numbers_of(config), "data": read_data(config).manifest["digest"]},
            CODE_VERSION, search.space, search.measure, search.seed,
        ]  # fmt: skip
        digest = sha256(json.dumps(shared, sort_keys=True))[:12]
        journal = search.runs_dir / "search" / f"{study_name(name, digest)}.journal"
        arms.append(Arm(name, tuple(overrides), config, journal, compose))
    for arm in arms:
        for key, distribution in parse_space(search.space).items():
            for value in ends_of(distribution):
                tried = arm.trained([f"{key}={value}"])
                make("tiles", tried.tiles).batch(tried.model["depth"])
    return arms
