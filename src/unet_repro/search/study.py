"""An Optuna study over idempotent runs, which any launcher can train.

A study is a file, ``<runs_dir>/search/<study>.journal``, named by a hash of what its trials share. A stopped search
resumes: trials that were started are finished with their original settings, and the total number of trials stays the
same.
"""

import base64
import json
import logging
import math
import os
import re
from collections.abc import Callable, Container, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from unet_repro.errors import Abandoned, RunError, TrainingError
from unet_repro.files import locked
from unet_repro.search import TRIAL_VARIABLE

Row = dict[str, float]


def alone(journal: Path) -> AbstractContextManager[None]:
    """Prevents a second search of the same study: together the two would run too many trials.

    Raises:
        RunError: If another search is running, or the folder is not writable.
    """
    return locked(
        journal.with_suffix(".lock"),
        hint="choose another runs_dir",
        busy=RunError(f"another process is searching {journal}", hint="wait for it, or stop it"),
    )


def open_study(journal: Path, *, seed: int, startup_trials: int, warmup_steps: int) -> optuna.Study:
    """Opens the study in a file; creates it if it does not exist.

    Args:
        journal: The file.
        seed: With the number of trials so far it determines the next suggestions.
        startup_trials: Random trials before the sampler and the pruner take effect.
        warmup_steps: Steps before which no trial is pruned.

    Raises:
        RunError: If the file is damaged or cannot be written.
    """
    optuna.logging.set_verbosity(logging.WARNING)
    # Absolute: Optuna's lock is a symlink to it, and the lock of a killed process is taken over only if it is valid.
    journal = journal.resolve()
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(journal)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=journal.stem,
            direction="minimize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=startup_trials, n_warmup_steps=warmup_steps),
        )
        num_trials = len(study.trials)
    except OSError as error:
        raise RunError(f"cannot write {journal}: {error.strerror}", hint="choose another runs_dir") from error
    except (ValueError, LookupError, TypeError, AssertionError) as error:  # Optuna's errors on an invalid line
        raise RunError(
            f"{journal} is damaged: {error}", hint="remove it and search again; the trials' runs are kept"
        ) from error
    # A sampler restarted with the same seed would suggest the first trials again.
    drawn = int(np.random.SeedSequence((seed, num_trials)).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=startup_trials)
    return study


def _cut_torn_line(journal: Path) -> None:
    """Removes an incomplete last line, as after a full disk or a crash: the next line would be appended to it."""
    if not journal.exists() or journal.read_bytes()[-1:] in (b"", b"\n"):
        return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()  # no process is writing now
    try:
        content = journal.read_bytes()
        os.truncate(journal, content.rfind(b"\n") + 1)
    finally:
        lock.release()


def next_trials(
    study: optuna.Study,
    *,
    wanted: int,
    at_once: int,
    space: Mapping[str, BaseDistribution],
    without: Container[int] = (),
) -> list[FrozenTrial]:
    """Trials to train now: those started but not finished, or else new ones.

    Args:
        study: The study.
        wanted: Total number of trials.
        at_once: Largest number of new trials.
        space: The search space.
        without: Started trials to leave for the next start.
    """
    begun = [trial for trial in study.trials if trial.state == TrialState.RUNNING and trial.number not in without]
    for trial in begun:
        live = optuna.trial.Trial(study, trial._trial_id)
        for key, distribution in space.items():
            live._suggest(key, distribution)  # a search killed while suggesting left some out
    numbers = [trial.number for trial in begun]
    if not begun:
        new = min(at_once, wanted - len(study.trials))
        numbers = [study.ask(dict(space)).number for _ in range(new)]
    trials = study.trials
    return [trials[number] for number in numbers]


def overrides_of(trial: FrozenTrial) -> list[str]:
    """The trial's settings as overrides."""
    return [f"{key}={value}" for key, value in trial.params.items()]


def settle(
    study: optuna.Study, trial: FrozenTrial, *, result: Mapping[str, Any] | None, reason: object, measure: str
) -> str | None:
    """Records the result of a trial in the study.

    Diverged and pruned trials count; a trial that failed for another reason stays open, and the next start retries it.

    Args:
        study: The study.
        trial: The trial.
        result: Result of its run, if that is done.
        reason: Otherwise, why it is not done.
        measure: The minimised measure.

    Returns:
        Why the trial stays open, or ``None``.
    """
    if result is not None:
        value = float(result["final"][measure])
        if math.isfinite(value):
            study.tell(trial.number, value)
        else:
            give_up(study, trial, state="diverged", reason=f"{measure} is {value}")
    elif isinstance(reason, Abandoned):
        study.tell(trial.number, state=TrialState.PRUNED)
    elif isinstance(reason, TrainingError):
        give_up(study, trial, state="diverged", reason=reason.what)
    else:
        return f"trial {trial.number}: {reason}"
    return None


def give_up(study: optuna.Study, trial: FrozenTrial, *, state: str, reason: str) -> None:
    """Marks a trial as failed without a retry, and records the reason."""
    live = optuna.trial.Trial(study, trial._trial_id)
    live.set_user_attr("state", state)
    live.set_user_attr("reason", reason)
    study.tell(trial.number, state=TrialState.FAIL)


def packed(about: Mapping[str, Any]) -> str:
    """Encodes what a job receives about its trial, in characters that need no quoting anywhere."""
    return base64.urlsafe_b64encode(json.dumps(about).encode()).decode()


def reporter() -> Callable[[Row], None]:
    """A function that reports each row of this process's trial to the study, and abandons a pruned trial.

    The environment variable has ``journal``, ``number``, ``measure``, ``startup_trials`` and ``warmup_steps``, encoded
    by ``packed``.
    """
    about = json.loads(base64.urlsafe_b64decode(os.environ[TRIAL_VARIABLE]))
    study = open_study(
        Path(about["journal"]), seed=0, startup_trials=about["startup_trials"], warmup_steps=about["warmup_steps"]
    )
    known = study.trials[about["number"]]
    trial = optuna.trial.Trial(study, known._trial_id)
    reported = set(known.intermediate_values)

    def on_row(row: Row) -> None:
        step = int(row["step"])
        if step not in reported:
            reported.add(step)
            trial.report(row[about["measure"]], step)
        if trial.should_prune():
            raise Abandoned(f"{about['measure']} at step {step} is worse than the median of earlier trials")

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
