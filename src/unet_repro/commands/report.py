"""``unet-repro report``: verdicts, the page, tables and figures of the runs trained so far."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from unet_repro.errors import RunError
from unet_repro.report.collect import ArmRow
from unet_repro.report.figures import draw_all, draw_verdicts
from unet_repro.report.page import render
from unet_repro.report.page_data import page_data
from unet_repro.report.publish import publish
from unet_repro.report.table import REPORT_DIR, print_tables, write_tables
from unet_repro.report.verdicts import print_verdicts, write_verdicts
from unet_repro.runs.folder import write_atomically
from unet_repro.sweep.ledger import Ledger


def main(arguments: list[str]) -> None:
    """Writes and prints the report."""
    parser = argparse.ArgumentParser(
        prog="unet-repro report", description="Writes verdicts, the page, tables and figures of the comparisons."
    )
    parser.add_argument("experiments", nargs="*", help="which comparisons (default: all that were started)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=REPORT_DIR, help=f"folder to write to (default {REPORT_DIR})")
    parser.add_argument("--publish", nargs=2, type=Path, metavar=("EXPERIMENTS_DIR", "README"),
                        help="also publish tables and figures there, and update the README's table")  # fmt: skip
    parser.add_argument("--watch", action="store_true", help="rewrite the page whenever a run has made progress, "
                        "until all are done")  # fmt: skip
    parser.add_argument("--every", type=float, default=30.0, metavar="SECONDS", help="polling interval of --watch "
                        "(default 30)")  # fmt: skip
    asked = parser.parse_args(arguments)
    experiments = asked.experiments or None
    if asked.watch:
        watch(asked.runs_dir, experiments, asked.out, every_s=max(asked.every, 1.0))
    rows, data = report(asked.runs_dir, experiments, asked.out)
    if asked.publish:
        published = publish(asked.runs_dir, rows, data, *asked.publish)
        print("\n".join(["published:", *map(str, published)]))


def report(
    runs_dir: Path, experiments: list[str] | None, out: Path = REPORT_DIR
) -> tuple[list[ArmRow], dict[str, Any]]:
    """Writes verdicts, page, tables and figures, and prints verdicts and tables.

    Returns:
        The rows of the table, and the page's data.

    Raises:
        RunError: If there is nothing to report.
    """
    rows = write_tables(runs_dir, experiments, out)
    if not rows:
        raise RunError(f"{runs_dir} has no runs of {experiments or 'any comparison'}", hint="train some runs first")
    pictures = draw_all(runs_dir, rows, out)
    data, written = write_page(runs_dir, experiments, out)
    if data["verdicts"]:
        pictures += draw_verdicts(data["verdicts"], out)
    print_tables(rows)
    print_verdicts(data["verdicts"])
    print("\n".join(["written:", *map(str, [out / "table.csv", out / "table.md", *pictures, *written])]))
    print(f"open {out / 'index.html'} in a browser")
    for reason in data["gallery"]["missing"]:
        sys.stderr.write(f"note: the page shows no images: {reason}\n")
    return rows, data


def write_page(runs_dir: Path, experiments: list[str] | None, out: Path) -> tuple[dict[str, Any], list[Path]]:
    """Writes the page and the verdicts' files.

    Returns:
        The page's data, and the paths of the files.
    """
    data = page_data(runs_dir, experiments)
    page = out / "index.html"
    write_atomically(page, render(data))
    return data, [page, *write_verdicts(data["verdicts"], data["made"], out)]


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


def _state(runs_dir: Path) -> dict[str, int]:
    """When each run's results and history were last written."""
    patterns = ("*/history.csv", "*/result.json", "*/error.txt", "*/evaluations/*.json", "ledger/*.json")
    return {str(path): path.stat().st_mtime_ns for pattern in patterns for path in runs_dir.glob(pattern)}
