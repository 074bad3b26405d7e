"""Search for settings with Optuna, over the same idempotent runs: asked, trained by any launcher, told.

A study is a file, ``<runs_dir>/search/<study>.journal``, named by a hash of what its trials share. A search that was
stopped goes on: trials that had begun are trained to their end with the settings that they were given, and no more are
asked for than were wanted.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, QuotedString, RangeSweep
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from unet_repro.errors import Abandoned, ConfigError, RunError, TrainingError

Row = dict[str, float]
VARIABLE = "UNET_REPRO_TRIAL"  # by it a job learns, under any launcher, which trial it is


def parse_space(space: Sequence[str]) -> dict[str, BaseDistribution]:
    """What is searched, from Hydra's own words for a sweep.

    Args:
        space: Overrides with ``interval(0, 0.5)``, ``tag(log, interval(1e-5, 1e-2))``, ``choice(8, 16)`` or
            ``range(8, 64, 8)``.

    Raises:
        ConfigError: If there are none, or one cannot be read or is empty.

    >>> parse_space(["optimizer.lr=tag(log, interval(1e-5, 1e-2))", "model.width=choice(8, 16)"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'optimizer.lr': FloatDistribution(high=0.01, log=True, low=1e-05, step=None),
     'model.width': CategoricalDistribution(choices=(8, 16))}
    """
    if not space:
        raise ConfigError("there is nothing to search", mend="name some in hydra.sweeper.space")
    return dict(_distribution(text) for text in space)


def _distribution(text: str) -> tuple[str, BaseDistribution]:
    mend = "use e.g. optimizer.lr=tag(log, interval(1e-5, 1e-2)), model.width=choice(8, 16) or model.depth=range(2, 5)"
    try:
        override = OverridesParser.create().parse_override(text)
        key, value = override.key_or_group, override.value()
        if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
            return key, FloatDistribution(float(value.start), float(value.end), log="log" in value.tags)
        if isinstance(value, ChoiceSweep) and value.list:
            choices: list[Any] = [choice.text if isinstance(choice, QuotedString) else choice for choice in value.list]
            return key, CategoricalDistribution(choices)
        if isinstance(value, RangeSweep) and value.start is not None and value.stop is not None:
            step = int(value.step)
            return key, IntDistribution(int(value.start), int(value.stop) - 1, step=step, log="log" in value.tags)
    except (HydraException, ValueError) as error:
        told = str(error).splitlines()[0]
        raise ConfigError(f"hydra.sweeper.space: {text} cannot be searched: {told}", mend=mend) from error
    raise ConfigError(f"hydra.sweeper.space: {text} is one value, not several", mend=mend)


def open_study(journal: Path, *, seed: int, startup_trials: int, warmup_steps: int) -> optuna.Study:
    """The study of a file, begun if it is not there.

    Args:
        journal: The file.
        seed: With the number of trials so far it decides what is asked next.
        startup_trials: Trials at random before the sampler learns and the pruner judges.
        warmup_steps: Steps before which no trial is pruned.

    Raises:
        RunError: If the file is damaged.
    """
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=journal.stem,
            direction="minimize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=startup_trials, n_warmup_steps=warmup_steps),
        )
        num_trials = len(study.trials)
    except OSError as error:
        raise RunError(f"cannot write {journal}: {error.strerror}", mend="choose another runs_dir") from error
    except (ValueError, KeyError) as error:
        raise RunError(
            f"{journal} is damaged: {error}", mend="remove it and search again; the trials' runs are kept"
        ) from error
    # A sampler that began with the same seed again would ask the first trials again.
    drawn = int(np.random.SeedSequence((seed, num_trials)).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=startup_trials)
    return study


def next_trials(
    study: optuna.Study, *, wanted: int, at_once: int, space: Mapping[str, BaseDistribution]
) -> list[FrozenTrial]:
    """Trials to train now: those that were begun and not told, then new ones.

    Args:
        study: The study.
        wanted: Trials in all.
        at_once: At most so many new ones.
        space: What is searched.
    """
    begun = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
    if begun:
        return begun
    new = min(at_once, wanted - len(study.trials))
    numbers = [study.ask(dict(space)).number for _ in range(new)]
    return [study.trials[number] for number in numbers]


def ends_of(distribution: BaseDistribution) -> list[Any]:
    """All choices, or the two ends of an interval: what can be checked before any trial."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution), "there are no others"
    return [distribution.low, distribution.high]


def overrides_of(trial: FrozenTrial) -> list[str]:
    """The trial's settings as overrides."""
    return [f"{key}={value}" for key, value in trial.params.items()]


def settle(study: optuna.Study, trial: FrozenTrial, job: JobReturn, *, measure: str) -> str | None:
    """Tells the study what a trial came to.

    Diverged and pruned trials count as trials; one that failed otherwise stays open, for the next start to try again.

    Returns:
        Why the trial stays open, if it does.
    """
    value = job._return_value  # the public property would print and raise
    if job.status == JobStatus.COMPLETED:
        study.tell(trial.number, float(value["final"][measure]))
    elif isinstance(value, Abandoned):
        study.tell(trial.number, state=TrialState.PRUNED)
    elif isinstance(value, TrainingError):
        study.tell(trial.number, state=TrialState.FAIL)
    else:
        return f"trial {trial.number}: {value}"
    return None


def reporter() -> Callable[[Row], None]:
    """Tells the study each row of this process's trial, and abandons one that is worse than most.

    The environment says which: ``journal``, ``number``, ``measure``, ``startup_trials``, ``warmup_steps`` as JSON.
    """
    about = json.loads(os.environ[VARIABLE])
    study = open_study(
        Path(about["journal"]), seed=0, startup_trials=about["startup_trials"], warmup_steps=about["warmup_steps"]
    )
    known = study.trials[about["number"]]
    trial = optuna.trial.Trial(study, known._trial_id)
    told = set(known.intermediate_values)

    def on_row(row: Row) -> None:
        step = int(row["step"])
        if step not in told:
            told.add(step)
            trial.report(row[about["measure"]], step)
        if trial.should_prune():
            raise Abandoned(f"{about['measure']} at step {step} is worse than the median of the trials before")

    return on_row


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have a value, the best first."""
    return sorted(
        (trial for trial in study.trials if trial.state == TrialState.COMPLETE),
        key=lambda trial: trial.value if trial.value is not None else float("inf"),
    )


def study_name(arm: str, digest: str) -> str:
    """Name of a study's file.

    >>> study_name("SGD 0.99", "0123abc")
    'SGD-0.99-0123abc'
    """
    return "-".join([re.sub(r"[^\w.]+", "-", arm).strip("-"), digest])


def describe(trials: Sequence[FrozenTrial], run_ids: Mapping[int, str]) -> list[dict[str, Any]]:
    """A row for each trial: number, state, value, run and settings."""
    return [
        {
            "trial": trial.number,
            "state": "diverged" if trial.state == TrialState.FAIL else trial.state.name.lower(),
            "value": trial.value if trial.state == TrialState.COMPLETE else None,
            "run": run_ids.get(trial.number, ""),
            **trial.params,
        }
        for trial in trials
    ]
