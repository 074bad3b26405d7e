"""``unet-repro sweep-status``: shows the progress of every run of a comparison. Imports nothing slow."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from unet_repro.errors import RunError
from unet_repro.sweep.ledger import Ledger
from unet_repro.sweep.status import RunStatus, counted, measured_speeds, status, tables, time_left

WATCH_EVERY_S = 2.0
PIPE_WIDTH = 200  # columns if the output is not a terminal


def main(arguments: list[str]) -> None:
    """Prints the status, once or repeatedly."""
    parser = argparse.ArgumentParser(
        prog="unet-repro sweep-status",
        description="Shows every run of a comparison: new, running (where), partial (step), failed (why) or done.",
    )
    parser.add_argument("experiments", nargs="*", help="which comparisons (default: all that were started)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--watch", action="store_true", help=f"refresh every {WATCH_EVERY_S:g} s until all are done")
    asked = parser.parse_args(arguments)

    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    if not asked.watch:
        console.print(_page(look(asked.runs_dir, asked.experiments)))
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            found = look(asked.runs_dir, asked.experiments)
            live.update(_page(found), refresh=True)
            if all(run.state == "done" for run in found):
                return
            time.sleep(WATCH_EVERY_S)


def look(runs_dir: Path, experiments: Sequence[str]) -> list[RunStatus]:
    """Every run of the named comparisons, or of all.

    Raises:
        RunError: If there are none.
    """
    ledger = Ledger(runs_dir)
    speeds = measured_speeds(runs_dir)
    found = []
    for experiment in experiments or ledger.experiments():
        entries = ledger.read(experiment)
        if not entries:
            known = ", ".join(ledger.experiments()) or "none"
            raise RunError(f"{runs_dir} has no runs of {experiment!r}", hint=f"start it first; known: {known}")
        found += [status(entry, runs_dir, speeds) for entry in entries]
    if not found:
        raise RunError(f"no sweep has been started in {runs_dir}", hint="start one, or set its folder with --runs-dir")
    return found


def _page(found: Sequence[RunStatus]) -> Group:
    running = len({run.entry.run_id for run in found if run.state == "running"})
    return Group(tables(found), Text(f"{counted(found)}; {time_left(found, side_by_side=max(1, running))}"))
