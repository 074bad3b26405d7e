"""Collects the data of the page, in plain containers: from a folder of runs, or from the record."""

import datetime as dt
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from unet_repro.conf_files import conf_dir, title
from unet_repro.report.arm_runs import METRICS, ArmRun, Metric
from unet_repro.report.arms import Arm, arms_of, comparisons_of, measured
from unet_repro.report.credits import CREDITS
from unet_repro.report.deviations import deviations
from unet_repro.report.made_with import RECORD_COMMAND, command_of, question_of, suite_commands
from unet_repro.stats import RESOLUTION, estimate
from unet_repro.trial.claims import EXPERIMENTS
from unet_repro.trial.seed_runs import REFERENCES
from unet_repro.version import VERSION

Plain = dict[str, Any]
_ORDER = (*EXPERIMENTS, "seed_runs")


def page_data(
    runs: Sequence[ArmRun],
    trials: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, Any],
    *,
    record: str = "",
    page: Path | None = None,
    runs_dir: Path | None = None,
) -> Plain:
    """The data of the page, which ``report/page`` renders.

    Args:
        runs: Runs of comparisons; single ones are left out.
        trials: From ``report.verdicts``.
        pictures: ``gallery`` and ``weight_maps``.
        record: What identifies the record that the runs are from; empty for a folder of runs.
        page: Where the page will be written, for links to the runs' settings.
        runs_dir: Their folder.
    """
    kept = [run for run in runs if run.experiment != "single"]
    arms = arms_of(sorted(kept, key=lambda run: _place_of(run.experiment)))
    links = "" if page is None or runs_dir is None else os.path.relpath(runs_dir, page.parent).replace(os.sep, "/")
    gallery = pictures.get("gallery") or {"tiles": {}, "predictions": {}, "missing": []}
    done = [run for run in kept if run.state == "done"]
    seed_runs = _seed_runs(arms)
    made = _made(kept, record)
    if record:  # sections that a record never fills
        filled = {"seed-runs": seed_runs, "gallery": gallery["predictions"], "weight-maps": pictures.get("weight_maps")}
        made["hidden"] = [name for name, content in filled.items() if not content]
    return {
        "made": made,
        "trials": list(trials),
        "comparisons": [_comparison(place, members, links) for place, members in comparisons_of(arms).items()],
        "gallery": gallery,
        "weight_maps": pictures.get("weight_maps") or [],
        "seed_runs": seed_runs,
        "deviations": deviations(conf_dir()),
        "environment": _environment(done),
        "data": _data(done),
    }


def _place_of(experiment: str) -> tuple[int, str]:
    return (_ORDER.index(experiment) if experiment in _ORDER else len(_ORDER), experiment)


def _made(runs: Sequence[ArmRun], record: str) -> Plain:
    """How far the runs are; a record's page has no time and no version: the same record gives the same page."""
    states = {run.run_id: run for run in runs}.values()
    done = [run for run in states if run.state == "done"]
    failed = sum(run.state == "failed" for run in states)
    commits = sorted({str(run.made_by["commit"]) for run in done if run.made_by.get("commit")})
    return {
        "time": None if record else dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "record": record,
        "version": None if record else VERSION,
        "commit": " and ".join(commits) or None,
        "complete": bool(record) or (bool(states) and len(done) == len(states)),
        "done": len(done),
        "planned": len(states),
        "running": sum(run.state == "running" for run in states),
        "failed": failed,
        "minutes": round(sum(run.seconds for run in done) / 60, 1),
        "commands": [RECORD_COMMAND] if record else suite_commands(runs),
        "hidden": [],
    }


def _comparison(place: str, arms: Sequence[Arm], links: str) -> Plain:
    first = arms[0].first
    columns = {column for arm in arms for run in arm.runs for column in run.curves}
    known = [metric for metric in METRICS if metric.column in columns or metric.key in measured(arms)]
    runs = [run for arm in arms for run in arm.runs]
    base = next((run.settings for run in runs if run.settings), {})
    return {
        "id": place,
        "experiment": first.experiment,
        "title": title(first.experiment),
        "question": question_of(first.experiment),
        "data": first.data,
        "scale": first.scale,
        "variant": first.variant,
        "command": command_of(runs),
        "metrics": [{"key": metric.key, "name": metric.title, "up": metric.up} for metric in known],
        "arms": [_arm(arm, known, links, base) for arm in arms],
    }


def _arm(arm: Arm, metrics: Sequence[Metric], links: str, base: Plain) -> Plain:
    cost, done = arm.cost, arm.done
    begun = [run for run in arm.runs if run.curves.get("step")]
    longest = max((run.curves["step"] for run in begun), key=len, default=[])
    scores = arm.scores
    return {
        "name": arm.name,
        "planned": len(arm.runs),
        "failed": sum(run.state == "failed" for run in arm.runs),
        "seeds": [run.seed for run in done],
        "runs": [
            {"seed": run.seed, "id": run.run_id, "href": f"{links}/{run.run_id}/config.yaml" if links else ""}
            for run in done
        ],
        "curves": {
            metric.key: {"steps": list(longest), "values": [_numbers(run.curves[metric.column]) for run in begun
                         if metric.column in run.curves]}
            for metric in metrics
            if any(metric.column in run.curves for run in begun)
        },
        "final": {
            metric.key: spread(scores[metric.key].values, bounded=metric.bounded)
            for metric in metrics
            if metric.key in scores
        },
        "images": _images(done),
        "settings": _settings(done[0].settings, base) if done else "",
        "tflop": cost and cost.tflop,
        "pixels_in": cost.pixels_in if cost else 0,
        "pixels_out": cost.pixels_out if cost else 0,
        "tiles": cost.tiles if cost else "",
        "steps": cost.steps if cost else 0,
    }  # fmt: skip


def _numbers(values: Iterable[float | None]) -> list[float | None]:
    return [rounded(value) if value is not None and math.isfinite(value) else None for value in values]


def spread(values: Sequence[float], *, bounded: bool) -> Plain:
    """Values of the seeds, their mean, and its 95 % interval, which stays within [0, 1] for a bounded measure.

    A single value, and equal values, have no interval: they show no spread, not certainty.
    """
    found = estimate(np.array(values, dtype=np.float64)[:, None], bounds=(0.0, 1.0) if bounded else None)
    ends = (found.low, found.high) if found.error > RESOLUTION else (None, None)
    low, high = (None if end is None else rounded(end) for end in ends)
    return {"values": list(map(rounded, values)), "mean": rounded(found.mean), "low": low, "high": high}


def _images(runs: Iterable[ArmRun]) -> dict[str, float]:
    """Each image's IoU, as a mean over the runs that hold it out."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for key, value in run.images.items():
            found.setdefault(key, []).append(value)
    return {key: rounded(statistics.fmean(values)) for key, values in sorted(found.items())}


def _settings(settings: Plain, base: Plain) -> str:
    """The complete settings of the base; of other arms the parts that differ from it."""
    shown = {key: value for key, value in settings.items() if key not in ("logger", "experiment", "runs_dir")}
    if settings is not base:
        shown = {key: value for key, value in shown.items() if value != base.get(key) and key not in ("arm", "seed")}
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).strip() if shown else "the same as the first arm"


def rounded(value: float) -> float:
    """Rounds to five digits, which is enough for the page."""
    return float(f"{value:.5g}")


def _seed_runs(arms: Sequence[Arm]) -> list[Plain]:
    """The runs of the earlier reproduction, next to its published scores."""
    of_arm = {arm.name: arm for arm in arms if arm.first.experiment == "seed_runs"}
    rows = []
    for name, reference in REFERENCES.items() if of_arm else ():
        arm = of_arm.get(name)
        stepped, iou = ((arm.scores.get(key) if arm else None) for key in ("iou_stepped", "iou_pooled"))
        ours = spread(stepped.values, bounded=True) if stepped else {}
        plain = spread(iou.values, bounded=True) if iou else {}
        rows.append({
            "arm": name,
            "data": arm.first.data if arm else "",
            "reference": reference.stepped,
            "remark": reference.remark,
            **{f"stepped{end}": ours.get(key) for end, key in (("", "mean"), ("_low", "low"), ("_high", "high"))},
            **{name: plain.get(key) for name, key in (("iou", "mean"), ("low", "low"), ("high", "high"))},
            "seeds": len(arm.done) if arm else 0,
            "planned": len(arm.runs) if arm else 0,
        })  # fmt: skip
    return rows


def _environment(runs: Iterable[ArmRun]) -> list[list[str]]:
    """All versions, machines and commits that trained the runs."""
    found: dict[str, set[str]] = {}
    for run in runs:
        for key, value in run.made_by.items():
            if value is not None:
                found.setdefault(key, set()).add(str(value))
    return [[key.replace("_", "-"), ", ".join(sorted(values))] for key, values in found.items()]


def _data(runs: Iterable[ArmRun]) -> list[Plain]:
    """Each data set with its parts; the folds of one split have several digests."""
    found: dict[tuple[str, int, int], set[str]] = {}
    for run in runs:
        split = run.manifest["split"]
        key = run.manifest["source"], len(split["train"]), len(split["val"])
        found.setdefault(key, set()).add(run.manifest["digest"][:12])
    return [
        {"name": name, "train": train, "val": val, "digest": " ".join(sorted(digests)), "credit": CREDITS.get(name, "")}
        for (name, train, val), digests in found.items()
    ]
