"""``unet-repro report``: verdicts, the page, tables and figures of runs, or of the published record."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unet_repro.commands.options import parser
from unet_repro.errors import RunError
from unet_repro.files import changed_ns, write_atomically, write_texts
from unet_repro.report import REPORT_DIR
from unet_repro.report.arm_runs import ArmRun, runs_on_disk
from unet_repro.report.arms import Arm, arms_of
from unet_repro.report.page import render
from unet_repro.report.page_data import page_data
from unet_repro.report.record import RecordOfScale
from unet_repro.report.table import print_tables, table_texts
from unet_repro.report.verdict_files import print_verdicts, write_verdicts
from unet_repro.report.verdicts import judged_on_disk
from unet_repro.runs.ledger import Ledger
from unet_repro.trial.run_record import records_of


def main(arguments: list[str]) -> None:
    """Writes and prints the report."""
    asked = parser("report").parse_args(arguments)
    if asked.add_to_record:
        add_to_record(asked.runs_dir, asked.add_to_record, asked.checkout)
    if asked.record or asked.add_to_record:
        report_record(asked.checkout)
        return
    experiments = asked.experiments or None
    out = asked.out or (REPORT_DIR / "-".join(experiments) if experiments else REPORT_DIR)
    if asked.watch:
        watch(asked.runs_dir, experiments, out, every_s=max(asked.every, 1.0))
    report(asked.runs_dir, experiments, out)


def report(runs_dir: Path, experiments: list[str] | None, out: Path = REPORT_DIR) -> list[Arm]:
    """Writes verdicts, page, tables and figures, prints verdicts and tables, and returns the arms of the tables.

    Raises:
        RunError: If there is nothing to report.
    """
    from unet_repro.report.figures import draw_all, draw_verdicts  # noqa: PLC0415  (imports matplotlib)

    runs = runs_on_disk(runs_dir, experiments)
    if not runs:
        raise RunError(f"{runs_dir} has no runs of {experiments or 'any comparison'}", hint="train some runs first")
    arms = arms_of(runs)
    tables = write_texts(out, table_texts(arms))
    data, written = write_page(runs_dir, experiments, out, runs)
    pictures = draw_all(arms, out) + draw_verdicts(data["trials"], out)
    print_tables(arms)
    print_verdicts(data["trials"])
    print("\n".join(["written:", *map(str, [*tables, *pictures, *written])]))
    print(f"open {out / 'index.html'} in a browser")
    for reason in data["gallery"]["missing"]:
        sys.stderr.write(f"note: the page shows no images: {reason}\n")
    return arms


def write_page(
    runs_dir: Path, experiments: Sequence[str] | None, out: Path, runs: Sequence[ArmRun] | None = None
) -> tuple[dict[str, Any], list[Path]]:
    """Writes the page and the verdicts' files.

    Args:
        runs_dir: Folder of the runs.
        experiments: Names of the comparisons; ``None`` for all.
        out: The folder to write to.
        runs: The runs of these comparisons, if they have been read.

    Returns:
        The page's data, and the paths of the files.
    """
    from unet_repro.report.gallery import pictures_of  # noqa: PLC0415  (imports torch)

    runs = runs_on_disk(runs_dir, experiments) if runs is None else runs
    page = out / "index.html"
    trials = judged_on_disk(runs_dir, experiments)
    data = page_data(runs, trials, pictures_of(runs_dir, runs), page=page, runs_dir=runs_dir)
    write_atomically(page, render(data))
    return data, [page, *write_verdicts(trials, data["made"], out)]


def report_record(checkout: Path) -> None:
    """Writes and prints what the record of a checkout determines."""
    from unet_repro.report.publish import Published  # noqa: PLC0415  (imports matplotlib)

    published = Published(checkout)
    written = published.write()
    print_verdicts(published.trials)
    print("\n".join(["written:", *map(str, written)]))
    if not published.trials:
        print(f"{published.folder} has no runs yet")


def add_to_record(runs_dir: Path, scale: str, checkout: Path) -> None:
    """Adds finished runs of the trial to the record, with pictures of one replicate.

    Raises:
        RunError: If there is none of this scale.
    """
    from unet_repro.report.gallery import pictures_of  # noqa: PLC0415  (imports torch)

    entries = Ledger(runs_dir).entries()
    records = records_of([entry for entry in entries if entry.scale == scale], runs_dir)
    if not records:
        raise RunError(
            f"{runs_dir} has no finished and evaluated runs of scale {scale} without overrides of your own",
            hint=f"train some: make reproduce-ablations SCALE={scale}",
        )
    record = RecordOfScale(checkout / "experiments" / "record" / scale)
    added, notes = record.add(records)
    record.keep_pictures(more_pictures(record.pictures(), pictures_of(runs_dir, _of_scale(runs_dir, scale))))
    print("\n".join([f"{added} runs added to {record.runs_file}, {len(record.records())} in all", *notes]))


def _of_scale(runs_dir: Path, scale: str) -> list[ArmRun]:
    return [run for run in runs_on_disk(runs_dir) if run.scale == scale and not run.variant]


def more_pictures(kept: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """For every comparison the pictures of more arms; kept ones win ties."""
    if not kept:
        return {"gallery": {**new["gallery"], "missing": []}, "weight_maps": new["weight_maps"]}
    predictions = dict(kept["gallery"]["predictions"])
    for place, shown in new["gallery"]["predictions"].items():
        if len(shown["arms"]) > len(predictions.get(place, {"arms": {}})["arms"]):
            predictions[place] = shown
    tiles = {**new["gallery"]["tiles"], **kept["gallery"]["tiles"]}
    used = {shown["data"] for shown in predictions.values()}
    return {
        "gallery": {
            "tiles": {name: tiles[name] for name in sorted(used)}, "predictions": predictions, "missing": [],
        },
        "weight_maps": kept["weight_maps"] or new["weight_maps"],
    }  # fmt: skip


def watch(runs_dir: Path, experiments: list[str] | None, out: Path, *, every_s: float) -> None:
    """Rewrites the page whenever something has changed, until all runs are done or the user stops it.

    Raises:
        RunError: If no comparison has been started.
    """
    if not Ledger(runs_dir).experiments():
        raise RunError(f"no comparison has been started in {runs_dir}", hint="start one, then watch it")
    before: object = None
    while True:
        now = _state(runs_dir)
        if now != before:
            data, _ = write_page(runs_dir, experiments, out)
            made = data["made"]
            sys.stderr.write(f"{made['done']} of {made['planned']} runs: {out / 'index.html'}\n")
            if made["complete"]:
                return
            before = now
        time.sleep(every_s)


def _state(runs_dir: Path) -> dict[str, int | None]:
    """When each run's results and history were last written."""
    patterns = ("*/history.csv", "*/result.json", "*/error.txt", "*/evaluations/*.json", "ledger/*.json")
    return {str(path): changed_ns(path) for pattern in patterns for path in runs_dir.glob(pattern)}
