"""Groups finished runs for evaluation: folds and sequences of one setting form a group; its seeds are the members."""

import glob
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from unet_repro import conf_files
from unet_repro.errors import ConfigError, RunError
from unet_repro.runs.folder import RunFolder, open_run
from unet_repro.runs.identity import HELD_OUT
from unet_repro.runs.ledger import Ledger

# Settings that may differ within a group, as the held-out part of the data may: what does not affect a run's numbers.
_APART = ("seed", "arm", "experiment", "logger", "runs_dir", "rates", "trainer")  # of the trainer see ``groups_of``


@dataclass(frozen=True)
class Group:
    """Runs of one setting.

    Attributes:
        name: Name for display.
        members: Seed -> runs, one for each held-out fold or sequence.
    """

    name: str
    members: dict[int, tuple[Path, ...]]


def runs_of(run: str | Sequence[str] | None, comparison: str | None, runs_dir: Path) -> list[Path]:
    """The folders of the selected runs.

    Args:
        run: A folder, a glob of folders, or several of these.
        comparison: A comparison, instead of ``run``: all of its finished runs.
        runs_dir: The folder of the runs and the ledger.

    Raises:
        ConfigError: If neither or both are given, or a glob matches nothing.
        RunError: If a folder is not a run, or no run of the comparison is finished.
    """
    names = [run] if isinstance(run, str) else run or []
    if bool(names) == bool(comparison):
        raise ConfigError("exactly one of run and comparison is required", hint="add run=runs/<id> or comparison=NAME")
    if comparison:
        entries = Ledger(runs_dir).read(comparison)
        folders = list(dict.fromkeys(runs_dir / entry.run_id for entry in entries))
        done = [folder for folder in folders if RunFolder(folder).state == "done"]
        if not done:
            raise RunError(
                f"no run of {comparison} is finished in {runs_dir}",
                hint=f"train them: unet-repro train -m experiment={comparison} seed=0,1,2",
            )
        return done
    found: list[Path] = []
    for name in names:
        matches = [Path(name)]
        if not Path(name).exists() and any(letter in name for letter in "*?["):
            found_here = sorted(map(Path, glob.glob(name)))  # noqa: PTH207  # absolute ones too
            matches = [path for path in found_here if RunFolder(path).config.exists()]
        if not matches:
            raise ConfigError(f"run={name} matches no run", hint="use runs/<run_id>, or a glob of such folders")
        found += [open_run(match).path for match in matches]
    return list(dict.fromkeys(found))


def arms_of(comparison: str, runs_dir: Path) -> dict[str, str]:
    """Arm by run id: a run that several comparisons share is recorded with the arm of one of them."""
    return {entry.run_id: entry.arm for entry in Ledger(runs_dir).read(comparison)}


def baseline_of(groups: Sequence[Group], comparison: str) -> Group:
    """The group that the others are compared with: the arm without settings of its own, else the first."""
    known = conf_files.comparison(comparison) if comparison in conf_files.options("experiment") else {}
    plain = [arm for arm, overrides in (known.get("arms") or {}).items() if not overrides]
    return next((group for group in groups if group.name in plain), groups[0])


def groups_of(runs: Iterable[Path], arms_by_run: Mapping[str, str] | None = None) -> list[Group]:
    """Groups runs whose settings differ only in the seed and in the held-out data.

    Of the trainer's settings, steps and precision distinguish groups, so that ``trainer.precision=auto`` on two kinds
    of processor can give two groups.

    Args:
        runs: The runs' folders.
        arms_by_run: Their arms, from which the groups get their names; ``None`` for those that the runs record.
    """
    members: dict[str, dict[int, list[Path]]] = {}
    arms: dict[str, list[str]] = {}
    for run in runs:
        config = open_run(run).settings()
        alike = {key: value for key, value in config.items() if key not in _APART}
        alike["split"] = {key: value for key, value in config["split"].items() if key not in HELD_OUT}
        alike["trainer"] = {name: config["trainer"][name] for name in ("max_steps", "precision")}
        key = json.dumps(alike, sort_keys=True)
        members.setdefault(key, {}).setdefault(int(config["seed"]), []).append(run)
        arms.setdefault(key, []).append((arms_by_run or {}).get(run.name) or config.get("arm") or run.name)
    names = [_common(arms[key]) for key in members]
    groups = []
    for number, (name, by_seed) in enumerate(zip(names, members.values(), strict=True), 1):
        unique_name = name if names.count(name) == 1 else f"{name} ({number})"
        groups.append(Group(unique_name, {seed: tuple(found) for seed, found in by_seed.items()}))
    return groups


def _common(arms: list[str]) -> str:
    """The common prefix of the arms' names, without a trailing fold or sequence number.

    >>> _common(["Adam, fold 0", "Adam, fold 1"]), _common(["HeLa, 01 to 02", "HeLa, 02 to 01"]), _common(["one"])
    ('Adam', 'HeLa', 'one')
    """
    if len(set(arms)) == 1:
        return arms[0]
    alike = "".join(letters[0] for letters in takewhile(lambda found: len(set(found)) == 1, zip(*arms, strict=False)))
    return re.sub(r"[\s,]*(fold)?[\s,]*\d*$", "", alike) or arms[0]
