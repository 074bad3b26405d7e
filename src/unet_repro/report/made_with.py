"""The commands that made runs, from the overrides in the ledger, so that they can be run again."""

import functools
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from unet_repro import conf_files
from unet_repro.report.arm_runs import ArmRun
from unet_repro.trial.looks import FIRST_SEED

RECORD_COMMAND = "unet-repro report --record"
_LEFT_OUT = ("arm=", "++experiment.", "runs_dir=", "hydra", "trainer.progress=", "trainer.threads=")


@functools.cache
def _file_of(experiment: str) -> dict[str, Any]:
    """The comparison in ``conf/experiment``; empty for an ad-hoc sweep, which has no file."""
    return conf_files.comparison(experiment) if experiment in conf_files.options("experiment") else {}


def question_of(experiment: str) -> str:
    """The question of a comparison; empty for an ad-hoc sweep."""
    return str(_file_of(experiment).get("question", ""))


def arm_names(experiment: str) -> list[str]:
    """The arms of a comparison in their order; empty for an ad-hoc sweep."""
    return [str(name) for name in _file_of(experiment).get("arms") or {}]


def command_of(runs: Sequence[ArmRun]) -> str:
    """The sweep that trains the runs of one comparison, with the overrides that they were composed from.

    Values that an ad-hoc sweep varies are joined again; those of an experiment's arms are in its file.
    """
    seeds = _seeds(sorted({run.seed for run in runs}))
    if not runs[0].overrides:  # in the record
        first = runs[0]
        words = [f"experiment={first.experiment}", f"seed={seeds}", f"scale={first.scale}", f"data={first.data}"]
        return shlex.join(["unet-repro", "train", "-m", *words])
    # The last override of an entry is the precision that ``auto`` was resolved to.
    given = [[word for word in run.overrides[:-1] if not word.startswith(_LEFT_OUT)] for run in runs]
    values: dict[str, list[str]] = {}
    for words in given:
        for word in words:
            key, _, value = word.partition("=")
            if value not in values.setdefault(key, []):
                values[key].append(value)
    shared = {key for key in values if all(any(word.startswith(f"{key}=") for word in words) for words in given)}
    fixed = bool(_file_of(runs[0].experiment))
    words = [
        f"{key}={seeds if key == 'seed' else ','.join(found)}"
        for key, found in values.items()
        if key == "seed" or (key in shared and (len(found) == 1 or not fixed))
    ]
    return shlex.join(["unet-repro", "train", "-m", *words])


def _seeds(seeds: Sequence[int]) -> str:
    """Seeds as Hydra sweeps over them.

    >>> _seeds([0, 1, 2]), _seeds(list(range(100, 130)))
    ('0,1,2', 'range(100,130)')
    """
    is_range = len(seeds) > 5 and seeds[-1] - seeds[0] == len(seeds) - 1
    return f"range({seeds[0]},{seeds[-1] + 1})" if is_range else ",".join(map(str, seeds))


def suite_commands(runs: Iterable[ArmRun]) -> list[str]:
    """The command of the suite for each data set, scale and set of overrides, then one for each comparison."""
    places: dict[tuple[str, str, str], list[ArmRun]] = {}
    comparisons: dict[str, list[ArmRun]] = {}
    for run in runs:
        comparisons.setdefault(run.place, []).append(run)
        if _file_of(run.experiment):
            places.setdefault((run.data, run.scale, run.variant), []).append(run)
    suites = [_suite(members) for members in places.values()]
    return [*suites, *(command_of(members) for members in comparisons.values())]


def _suite(runs: Sequence[ArmRun]) -> str:
    first = runs[0]
    data = next((word.partition("=")[2] for word in first.overrides if word.startswith("data=")), first.data)
    seeds = sorted({run.seed for run in runs})
    if seeds[0] >= FIRST_SEED:
        return f"make reproduce-ablations SCALE={first.scale} DATA={data}"
    names = ",".join(dict.fromkeys(run.experiment for run in runs))
    if not first.variant:
        return f"make reproduce-ablations SCALE={first.scale} DATA={data} SEEDS={seeds[-1] + 1} EXPERIMENTS={names}"
    words = ["--scale", first.scale, "--data", data, "--seeds", str(seeds[-1] + 1), "--experiments", names]
    return shlex.join(["unet-repro", "reproduce", *words, *shlex.split(first.variant)])
