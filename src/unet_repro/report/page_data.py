"""Collects the data of the page, in plain containers, from the runs of a folder."""

import contextlib
import datetime as dt
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import unet_repro
from unet_repro.config import conf_dir
from unet_repro.errors import UserError
from unet_repro.report.deviations import deviations
from unet_repro.report.gallery import (
    CREDITS,
    first_with_images,
    predictions_by_arm,
    shown_keys,
    tiles_of,
    weight_maps_of,
)
from unet_repro.report.verdicts import as_dict, comparison_id, judge_all
from unet_repro.runs.folder import RunFolder
from unet_repro.stats import estimate
from unet_repro.sweep.ledger import Entry, Ledger, unique
from unet_repro.trial.claims import CLAIMS
from unet_repro.trial.finished_runs import Run
from unet_repro.trial.seed_runs import REFERENCES

_METRICS = (
    ("val/iou", "mean IoU", True),
    ("val/iou_membrane", "IoU of membrane", True),
    ("val/iou_cell", "IoU of cells", True),
    ("val/loss", "validation cross-entropy", False),
    ("train/ce", "training cross-entropy (unweighted, augmented tiles)", False),
    ("val/pixel_error", "pixel error", False),
    ("val/iou_stepped", "stepped IoU score of the earlier reproduction", True),
)
_ORDER = (*(claim.experiment for claim in CLAIMS), "seed_runs")
Plain = dict[str, Any]


def page_data(runs_dir: Path, experiments: Sequence[str] | None = None) -> Plain:
    """The data of the page, which ``report/page`` renders.

    Args:
        runs_dir: Folder of the runs.
        experiments: Names of the comparisons; ``None`` for all.
    """
    ledger = Ledger(runs_dir)
    known = [name for name in ledger.experiments() if name != "single" and (experiments is None or name in experiments)]
    names = sorted(known, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    entries = [entry for name in names for entry in ledger.read(name)]
    comparisons = _comparisons(entries)
    runs = {entry.run_id: run for entry in entries if (run := _finished(entry, runs_dir))}
    return {
        "made": _made(entries, runs_dir),
        "verdicts": [as_dict(judged) for judged in judge_all(runs_dir, names)],
        "comparisons": [_comparison(name, members, runs_dir) for name, members in comparisons.items()],
        "gallery": _gallery(comparisons, runs),
        "weight_maps": _weight_maps(runs.values()),
        "seed_runs": _seed_runs([entry for entry in entries if entry.experiment == "seed_runs"], runs),
        "deviations": deviations(conf_dir()),
        "environment": _environment(runs.values()),
        "data": _data(runs.values()),
        "commands": _commands(entries),
    }


def _finished(entry: Entry, runs_dir: Path) -> Run | None:
    folder = RunFolder(runs_dir / entry.run_id)
    return Run(entry, folder) if folder.result_file.exists() else None


def _comparisons(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Entries by comparison; of several with one name only the newest."""
    found: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        name = comparison_id(entry.experiment, entry.data, entry.scale, entry.variant)
        found.setdefault(name, {}).setdefault(entry.comparison, []).append(entry)
    return {name: list(versions.values())[-1] for name, versions in found.items()}


def _made(entries: Sequence[Entry], runs_dir: Path) -> Plain:
    folders = [RunFolder(runs_dir / entry.run_id) for entry in unique(entries)]
    outcomes = [outcome for folder in folders if (outcome := folder.outcome())]
    open_ones = [folder for folder in folders if not folder.result_file.exists()]
    commits = sorted({str(outcome["made_by"]["commit"]) for outcome in outcomes})
    return {
        "time": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": unet_repro.__version__,
        "commit": " and ".join(commits) or None,
        "command": next(iter(_commands(entries)), ""),
        "complete": bool(folders) and not open_ones,
        "done": len(outcomes),
        "planned": len(folders),
        "running": sum(folder.running for folder in open_ones),
        "failed": sum(folder.state == "failed" for folder in open_ones),
        "minutes": round(sum(outcome.get("seconds", 0.0) for outcome in outcomes) / 60, 1),
    }


def _commands(entries: Sequence[Entry]) -> list[str]:
    """The command of the suite first, then one for each comparison."""
    commands = []
    for data, scale in dict.fromkeys((entry.data, entry.scale) for entry in entries if entry.experiment != "seed_runs"):
        of_place = [entry for entry in entries if (entry.data, entry.scale) == (data, scale)]
        names = list(dict.fromkeys(entry.experiment for entry in of_place))
        if set(_ORDER[:-1]) <= set(names):
            names = ["all"]
        seeds = max(entry.seed for entry in of_place) + 1
        commands.append(
            f"make reproduce-ablations SCALE={scale} DATA={data} SEEDS={seeds} EXPERIMENTS={','.join(names)}"
        )
    return commands + list(dict.fromkeys(_command(members) for members in _comparisons(entries).values()))


def _command(entries: Sequence[Entry]) -> str:
    first = entries[0]
    seeds = ",".join(map(str, sorted({entry.seed for entry in entries})))
    data = [] if first.experiment == "seed_runs" else [f"data={first.data}"]
    extra = [first.variant] if first.variant else []
    parts = ["unet-repro train -m", f"experiment={first.experiment}", f"seed={seeds}", f"scale={first.scale}"]
    return " ".join([*parts, *data, *extra])


def _comparison(name: str, entries: Sequence[Entry], runs_dir: Path) -> Plain:
    first = entries[0]
    arms: dict[str, list[Entry]] = {}
    for entry in entries:
        arms.setdefault(entry.arm, []).append(entry)
    shown = [_arm(arm, sorted(members, key=lambda entry: entry.seed), runs_dir) for arm, members in arms.items()]
    columns = {column for arm in shown for column in arm["curves"]}
    return {
        "id": name,
        "experiment": first.experiment,
        "title": first.experiment.replace("_", " ").capitalize(),
        "question": question_of(first.experiment),
        "claims": [claim.id for claim in CLAIMS if claim.experiment == first.experiment],
        "data": first.data,
        "scale": first.scale,
        "command": _command(entries),
        "metrics": [{"key": key, "name": title, "up": up} for key, title, up in _METRICS if key in columns],
        "arms": shown,
    }


def question_of(experiment: str) -> str:
    """The question of an experiment, from its file; also for the final comparison of a search."""
    path = conf_dir() / "experiment" / f"{experiment}.yaml"
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition("question:")[2].strip() for line in lines if "question:" in line), "")


def _arm(name: str, entries: Sequence[Entry], runs_dir: Path) -> Plain:
    folders = [RunFolder(runs_dir / entry.run_id) for entry in entries]
    histories = [folder.curves() for folder in folders]
    done = [folder for folder in folders if folder.result_file.exists()]
    outcomes = [folder.outcome() or {} for folder in done]
    rows = [outcome["final"] for outcome in outcomes]
    longest = max(histories, key=lambda history: len(history.get("step", [])))
    batch = outcomes[0]["batch"] if outcomes else {}
    steps = outcomes[0]["steps"] if outcomes else 0
    known = [key for key, _, _ in _METRICS if key in longest]
    return {
        "name": name,
        "planned": len(entries),
        "seeds": [entry.seed for entry, folder in zip(entries, folders, strict=True) if folder.result_file.exists()],
        "run_ids": [folder.run_id for folder in done],
        "curves": {
            key: {
                "steps": longest["step"],
                "values": [[_rounded(value) for value in history[key]] for history in histories if key in history],
            }
            for key in known
        },
        "final": {key: _spread([row[key] for row in rows]) for key in known if rows},
        "seconds": [outcome["seconds"] for outcome in outcomes if "seconds" in outcome],
        "pixels_in": batch.get("input_pixels", 0) * steps,
        "pixels_out": batch.get("output_pixels", 0) * steps,
        "tiles": f"{batch['num_tiles']} x {batch['tile_size']}" if batch else "",
        "steps": steps,
    }


def _spread(values: Sequence[float]) -> Plain:
    """Values of the seeds, their mean, and its 95 % interval over seeds."""
    found = estimate(np.array(values)[:, None])
    return {
        "values": [_rounded(value) for value in values],
        "mean": _rounded(found.mean),
        "low": None if found.low is None else _rounded(found.low),
        "high": None if found.high is None else _rounded(found.high),
    }


def _rounded(value: float) -> float:
    """Rounds to six digits, which is enough for the page."""
    return float(f"{value:.6g}")


def _weight_maps(runs: Iterable[Run]) -> list[dict[str, str]]:
    run = first_with_images(runs)
    with contextlib.suppress(UserError):  # the gallery reports what is missing
        return weight_maps_of(run) if run else []
    return []


def _gallery(comparisons: Mapping[str, Sequence[Entry]], runs: Mapping[str, Run]) -> Plain:
    missing: dict[str, str] = {}  # data set -> why its images are not shown
    tiles: dict[str, list[Plain]] = {}
    keys: dict[str, list[str]] = {}
    predictions: dict[str, Plain] = {}
    for name, entries in comparisons.items():
        data = entries[0].data
        seed = min((entry.seed for entry in entries), default=0)
        arms = {entry.arm: runs[entry.run_id] for entry in entries if entry.seed == seed and entry.run_id in runs}
        if data not in {*tiles, *missing} and (run := first_with_images(arms.values())) is not None:
            try:
                tiles[data], keys[data] = tiles_of(run), shown_keys(run)
            except UserError as error:
                missing[data] = f"{error.what}; {error.hint}"
        pictures = predictions_by_arm(arms, keys.get(data, []))
        if pictures and data in tiles:
            predictions[name] = {"data": data, "arms": pictures}
    return {"tiles": tiles, "predictions": predictions, "missing": list(missing.values())}


def _seed_runs(entries: Sequence[Entry], runs: Mapping[str, Run]) -> list[Plain]:
    rows = []
    for arm, reference in REFERENCES.items():
        members = [entry for entry in entries if entry.arm == arm]
        finals = [runs[entry.run_id].outcome["final"] for entry in members if entry.run_id in runs]
        stepped = _spread([final["val/iou_stepped"] for final in finals]) if finals else {}
        iou = _spread([final["val/iou"] for final in finals]) if finals else {}
        rows.append({
            "arm": arm,
            "data": members[0].data if members else "",
            "reference": reference.stepped,
            "remark": reference.remark,
            "stepped": stepped.get("mean"),
            "stepped_low": stepped.get("low"),
            "stepped_high": stepped.get("high"),
            "iou": iou.get("mean"),
            "low": iou.get("low"),
            "high": iou.get("high"),
            "seeds": len(finals),
            "planned": len(members),
        })  # fmt: skip
    return rows if entries else []


def _environment(runs: Iterable[Run]) -> list[list[str]]:
    """All versions, machines and commits that trained the runs."""
    found: dict[str, set[str]] = {}
    seconds = []
    for run in runs:
        seconds.append(float(run.outcome.get("seconds", 0)))
        for key, value in run.outcome["made_by"].items():
            found.setdefault(key, set()).add(str(value))
    lines = [[key.replace("_", "-"), ", ".join(sorted(values))] for key, values in found.items()]
    if seconds:
        lines.append(["seconds per run, median", f"{statistics.median(seconds):.0f}"])
    return lines


def _data(runs: Iterable[Run]) -> list[Plain]:
    """Each data content that runs were trained on, with the split of the first of these runs."""
    found: dict[str, Plain] = {}
    for run in runs:
        split, source = run.manifest["split"], run.manifest["source"]
        row = {
            "name": source,
            "digest": run.manifest["digest"],
            "train": len(split["train"]),
            "val": len(split["val"]),
            "credit": CREDITS.get(source, ""),
        }
        found.setdefault(run.manifest["digest"], row)
    return list(found.values())
