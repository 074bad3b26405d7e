"""Checks that a part's comparison is fair: the arms of a replicate may differ only in what the part declares.

Any other difference that can change a result makes the comparison unfair, and the part is refused. Differences that
should not change a result become labels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from unet_repro.trial.contrasts import Part
from unet_repro.trial.looks import FIRST_SEED, fold_of_seed
from unet_repro.trial.replicates import Runs
from unet_repro.trial.run_record import RunRecord

_OF_THE_SEED = {"seed", "scale", "split.fold", "split.draw_seed"}  # settings that differ between replicates
_LABELS = (
    ("torch", "versions of torch"),
    ("device", "devices"),
    ("instruction_set", "instruction sets"),
)


def unfairness(part: Part, runs: Runs) -> tuple[str, ...]:
    """Why the comparison is not fair: differences that the part does not declare; empty if it is fair.

    Args:
        part: Defines the arms, and the settings in which they may differ.
        runs: All runs by experiment, arm and seed. If some are of the trial, others are not checked.
    """
    of_part = {(arm, seed): run for (experiment, arm, seed), run in runs.items()
               if experiment == part.experiment and arm in part.arms}  # fmt: skip
    trial = {cell: run for cell, run in of_part.items() if cell[1] >= FIRST_SEED}
    checked = trial or of_part
    found = [*_folds(checked.values()), *_content(checked.values()), *_code(checked.values())]
    for arm in part.arms:
        found += _seeds(arm, {seed: run for (one, seed), run in checked.items() if one == arm})
    for seed in sorted({seed for _, seed in checked}):
        found += _replicate(part, seed, {arm: run for (arm, one), run in checked.items() if one == seed})
    return tuple(dict.fromkeys(found))


def labels(records: Iterable[RunRecord]) -> tuple[str, ...]:
    """Differences between runs that should not change a result."""
    records = list(records)
    commits = {str(record.outcome["commit"]) for record in records if record.outcome.get("commit")}
    found = [f"trained with {len(commits)} versions (commits) of the program"] if len(commits) > 1 else []
    if any(commit.endswith("-dirty") for commit in commits):
        found.append("trained in part with changes that were not committed")
    for key, title in _LABELS:
        values = sorted({str(record.outcome[key]) for record in records if record.outcome.get(key)})
        if len(values) > 1:
            found.append(f"trained by different {title}: {', '.join(values)}")
    return tuple(found)


def _folds(runs: Iterable[RunRecord]) -> Iterator[str]:
    """One fold for each seed; in the trial the seed's own."""
    folds: dict[int, int] = {}
    for run in runs:
        if run.seed >= FIRST_SEED and run.fold != fold_of_seed(run.seed):
            yield f"{_name(run)} holds out fold {run.fold}, but its seed belongs to fold {fold_of_seed(run.seed)}"
        elif folds.setdefault(run.seed, run.fold) != run.fold:
            yield f"seed {run.seed} has more than one fold: {folds[run.seed]} and {run.fold}"


def _content(runs: Iterable[RunRecord]) -> Iterator[str]:
    """Different sources, or different images or labels with the same name, or images in two parts."""
    sources: dict[str, str] = {}
    seen: dict[str, tuple[str, str]] = {}
    for run in runs:
        sources.setdefault(run.manifest["source"], _name(run))
        if leaked := sorted(set(run.manifest["split"]["train"]) & set(run.held_out)):
            yield f"{_name(run)} is judged on images that it was trained on: {_some(leaked)}"
        for key, content in run.manifest.get("samples", {}).items():
            known, where = seen.setdefault(key, (content, _name(run)))
            if known != content:
                yield f"{key} has another content in {_name(run)} than in {where}"
                return
    if len(sources) > 1:
        yield f"runs are from different data: {', '.join(sorted(sources))}"


def _code(runs: Iterable[RunRecord]) -> Iterator[str]:
    if len(versions := sorted({run.code_version for run in runs})) > 1:
        yield f"runs are from different code versions: {', '.join(map(str, versions))}"


def _seeds(arm: str, runs: Mapping[int, RunRecord]) -> Iterator[str]:
    """Settings that differ between the seeds of one arm."""
    flat = {f"seed {seed}": dict(_flat(run.settings)) for seed, run in runs.items()}
    for name, values in _differences(flat):
        yield f"the seeds of {arm!r} differ in {name}: {values}"


def _replicate(part: Part, seed: int, runs: Mapping[str, RunRecord]) -> Iterator[str]:
    """Differences between the arms of one replicate that the part does not declare."""
    for name, values in _differences({arm: dict(_flat(run.settings)) for arm, run in runs.items()}):
        if not _is_declared(name, part):
            yield f"arms differ in {name}, which the part does not vary: {values}"
    for one, other in combinations(runs, 2):
        first, second = runs[one], runs[other]
        pair = f"seed {seed}: {one!r} and {other!r}"
        if first.run_id == second.run_id:
            yield f"{pair} are the same run: there is nothing to compare"
        if not set(first.held_out) & set(second.held_out):
            yield f"{pair} have no held-out image in common"
        for name in ("train", "val"):
            odd = sorted(set(first.manifest["split"][name]) ^ set(second.manifest["split"][name]))
            if odd and not _is_declared("split", part):
                yield f"{pair} differ in their {name} images, which the part does not vary: {_some(odd)}"
        if first.curve["step"] != second.curve["step"]:
            yield f"{pair} were validated at different steps"
    made = {arm: _transform(run) for arm, run in runs.items() if run.failed is None}
    for name, values in _differences(made):
        yield f"the evaluation was made in different ways, {name}: {values}"


def _transform(run: RunRecord) -> dict[str, Any]:
    evaluation = run.evaluation or {}
    transform = {key: value for key, value in evaluation.get("transform", {}).items() if key != "device"}
    return {**transform, "version": evaluation.get("version")}


def _flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif name not in _OF_THE_SEED:
            yield name, value


def _is_declared(name: str, part: Part) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in part.varies)


def _differences(settings: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for name in sorted({name for of_one in settings.values() for name in of_one}):
        values: dict[str, str] = {}  # value -> the first that has it
        for who, of_one in settings.items():
            values.setdefault(str(of_one.get(name, "absent")), who)
        if len(values) > 1:
            yield name, ", ".join(f"{value} in {who!r}" for value, who in values.items())


def _name(run: RunRecord) -> str:
    return f"{next(iter(run.arms.values()), run.run_id)}, seed {run.seed}"


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:4]) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")
