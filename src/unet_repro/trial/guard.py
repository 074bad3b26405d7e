"""Checks that a comparison is fair: its arms may differ only in what the claim declares.

Any other difference that can change a result makes the comparison unfair, and its verdict is refused. Declared
differences, and those that should not change a result, become labels of the verdict.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from unet_repro.runs.identity import PLACEMENT
from unet_repro.trial.claims import Claim
from unet_repro.trial.finished_runs import Run
from unet_repro.trial.measures import MEASURES

# Sections of a configuration that do not affect results, and the data, which are compared through the manifest.
_ASIDE = {"data", "logger", "experiment", "arm", "scale", "runs_dir", "seed"}
Runs = Mapping[str, Sequence[Run]]


@dataclass(frozen=True)
class Guard:
    """The findings of the guard.

    Attributes:
        unfair: Differences that the claim does not declare; the verdict is refused.
        labels: Differences that are reported with the verdict.
    """

    unfair: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def fair(self) -> bool:
        """Whether a verdict is allowed."""
        return not self.unfair


def guard(claim: Claim, arms: Runs) -> Guard:
    """Compares the arms of a claim.

    Args:
        claim: Defines the arms, and the settings in which they may differ.
        arms: Finished runs by arm, at least one of each arm of the claim.
    """
    runs = {arm: arms[arm] for arm in claim.arms}
    whole = [run for of_arm in runs.values() for run in of_arm]
    unfair = [
        *_settings(claim, runs),
        *_same_runs(runs),
        *_content(whole),
        *_parts(claim, runs),
        *_transforms(claim, whole),
        *_budget(claim, runs),
        *_updates(whole),
        *_tuning(runs),
    ]
    return Guard(tuple(unfair), tuple(_labels(claim, runs)))


def _flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if not path and key in _ASIDE:
            continue
        name = f"{path}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif name.removeprefix("trainer.") not in PLACEMENT:
            yield name, value


def _is_declared(name: str, claim: Claim) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in claim.varies)


def _settings(claim: Claim, runs: Runs) -> Iterator[str]:
    """Settings that differ between arms and are not declared, or between the seeds of one arm."""
    for arm, of_arm in runs.items():
        for name, values in _differences({run.name: dict(_flat(run.config)) for run in of_arm}):
            yield f"the seeds of {arm!r} differ in {name}: {values}"
    firsts = {arm: dict(_flat(of_arm[0].config)) for arm, of_arm in runs.items()}
    for name, values in _differences(firsts):
        if not _is_declared(name, claim):
            yield f"arms differ in {name}, which the claim does not vary: {values}"


def _differences(settings: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for name in sorted({name for of_one in settings.values() for name in of_one}):
        values = {who: of_one.get(name, "absent") for who, of_one in settings.items()}
        if len({str(value) for value in values.values()}) > 1:
            yield name, ", ".join(f"{value} in {who!r}" for who, value in values.items())


def _same_runs(runs: Runs) -> Iterator[str]:
    for first, second in combinations(runs, 2):
        if {run.entry.run_id for run in runs[first]} & {run.entry.run_id for run in runs[second]}:
            yield f"{first!r} and {second!r} are the same runs: there is nothing to compare"


def _content(runs: Sequence[Run]) -> Iterator[str]:
    """Different images or labels with the same name, or different sources."""
    if len(sources := sorted({run.manifest["source"] for run in runs})) > 1:
        yield f"arms are from different data: {', '.join(sources)}"
    seen: dict[str, tuple[Any, str]] = {}
    for run in runs:
        for key, hashes in run.manifest["samples"].items():
            known, where = seen.setdefault(key, (hashes, run.name))
            if known != hashes:
                yield f"{key} has another content in {run.name} than in {where}"
                return


def _parts(claim: Claim, runs: Runs) -> Iterator[str]:
    """Arms with different validation images, validation images used for training, or different training images."""
    for run in (run for of_arm in runs.values() for run in of_arm):
        split = run.manifest["split"]
        if leaked := sorted(set(split["train"]) & set(split["val"])):
            yield f"{run.name} validates on images that it trained on: {_some(leaked)}"
    for contrast in claim.contrasts:
        judged = {term.arms: _union(runs, term.arms, "val") for term in contrast.terms}
        for first, second in combinations(judged, 2):
            if judged[first] != judged[second]:
                odd = sorted(judged[first] ^ judged[second])
                yield f"{_names(first)} and {_names(second)} are judged on different images: {_some(odd)}"
                return
    if not _is_declared("split", claim):
        trained = {arm: _union(runs, (arm,), "train") for arm in runs}
        for one, other in combinations(trained, 2):
            if trained[one] != trained[other]:
                odd = sorted(trained[one] ^ trained[other])
                yield f"{one!r} and {other!r} train on different images, which the claim does not vary: {_some(odd)}"
                return


def _union(runs: Runs, arms: Iterable[str], part: str) -> set[str]:
    return {key for arm in arms for run in runs[arm] for key in run.manifest["split"][part]}


def _transforms(claim: Claim, runs: Sequence[Run]) -> Iterator[str]:
    """Evaluations that were not made in the same way."""
    for name in sorted({MEASURES[contrast.measure].evaluation or "" for contrast in claim.contrasts} - {""}):
        ways = {run.name: run.evaluation(name) for run in runs}
        ways_made = {who: {**way["transform"], "version": way["version"]} for who, way in ways.items() if way}
        for key, values in _differences(ways_made):
            if key != "device":
                yield f"the evaluation {name!r} was made in different ways, {key}: {values}"


def _budget(claim: Claim, runs: Runs) -> Iterator[str]:
    """Pixels per step: kinds that the claim does not vary must be equal, and at least one kind for each pair."""
    batches = {arm: of_arm[0].outcome["batch"] for arm, of_arm in runs.items()}
    for kind in ("input", "output"):
        if not _is_declared(f"budget.{kind}", claim):
            for first, second in combinations(batches, 2):
                one, other = batches[first], batches[second]
                if not _same_budget(one, other, kind):
                    pixels = f"{one[f'{kind}_pixels']} and {other[f'{kind}_pixels']}"
                    yield f"{first!r} and {second!r} differ in {kind} pixels a step: {pixels}"
                    return
    for contrast in claim.contrasts:
        for first, second in combinations([term.arms[0] for term in contrast.terms], 2):
            one, other = batches[first], batches[second]
            if not any(_same_budget(one, other, kind) for kind in ("input", "output")):
                yield f"{first!r} and {second!r} have neither input nor output pixels a step in common"
                return


def _same_budget(one: Mapping[str, int], other: Mapping[str, int], kind: str) -> bool:
    """Whether two batches are as equal as whole tiles allow: within half a tile of the smaller size.

    For few tiles this is a large share (12 % for one tile of 572 against two of 380), so the numbers are also labels.
    """
    name = f"{kind}_pixels"
    tile = min(batch[name] / batch["num_tiles"] for batch in (one, other))
    return abs(one[name] - other[name]) <= tile / 2


def _updates(runs: Sequence[Run]) -> Iterator[str]:
    """Different numbers of updates, or validations at different steps."""
    steps = {run.name: [int(step) for step in run.history["step"]] for run in runs}
    ends = {who: at[-1] for who, at in steps.items()}
    if len(set(ends.values())) > 1:
        yield "runs end after different numbers of updates: " + ", ".join(f"{n} in {who}" for who, n in ends.items())
    elif len({tuple(at) for at in steps.values()}) > 1:
        yield "runs were validated at different steps, so their curves cannot be compared"


def _tuning(runs: Runs) -> Iterator[str]:
    trials = {arm: max(run.entry.tuning_trials for run in of_arm) for arm, of_arm in runs.items()}
    if len(set(trials.values())) > 1:
        counts = ", ".join(f"{number} trials for {arm!r}" for arm, number in trials.items())
        yield f"unequal tuning effort: {counts}"


def _labels(claim: Claim, runs: Runs) -> Iterator[str]:
    whole = [run for of_arm in runs.values() for run in of_arm]
    seeds = {arm: sorted(run.entry.seed for run in of_arm) for arm, of_arm in runs.items()}
    if len({tuple(of_arm) for of_arm in seeds.values()}) > 1:
        yield "arms have different seeds; only those that all of them have are compared"
    batches = {arm: of_arm[0].outcome["batch"] for arm, of_arm in runs.items()}
    for kind in ("input", "output"):
        pixels = {arm: batch[f"{kind}_pixels"] for arm, batch in batches.items()}
        if len(set(pixels.values())) > 1:
            yield f"{kind} pixels a step: " + ", ".join(f"{number} for {arm}" for arm, number in pixels.items())
    trained = {arm: len(_union(runs, (arm,), "train")) for arm in runs}
    if len(set(trained.values())) > 1:
        yield "training images: " + ", ".join(f"{number} for {arm}" for arm, number in trained.items())
    if _is_declared("optimizer", claim) and not any(run.entry.tuning_trials for run in whole):
        yield "no arm's settings were searched for: each optimizer runs at the rate that its arm names"
    for key, title in (("commit", "commits"), ("torch", "versions of torch"), ("device", "devices")):
        if len(found := sorted({str(run.outcome["made_by"][key]) for run in whole})) > 1:
            yield f"trained by different {title}: {', '.join(found)}"
    if any(str(run.outcome["made_by"]["commit"]).endswith("-dirty") for run in whole):
        yield "trained by a checkout with uncommitted changes"


def _names(arms: Sequence[str]) -> str:
    return " with ".join(repr(arm) for arm in arms)


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:4]) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")
