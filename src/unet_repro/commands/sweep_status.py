"""``unet-repro sweep-status``: shows the progress of every run of a comparison. Imports nothing slow."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.text import Text

from unet_repro.commands.options import parser
from unet_repro.errors import RunError
from unet_repro.runs.ledger import Ledger
from unet_repro.sweep.slurm_orders import Order, live_orders
from unet_repro.sweep.status import RunStatus, counted, measured_speeds, status, tables, terminal, time_left

WATCH_EVERY_S = 2.0
ASK_EVERY = 10  # looks; SLURM's administrators ask users not to query it often


def main(arguments: list[str]) -> None:
    """Prints the status, once or repeatedly."""
    asked = parser("sweep-status").parse_args(arguments)

    console = terminal()
    if not asked.watch:
        console.print(_page(look(asked.runs_dir, asked.experiments, live_orders(asked.runs_dir))))
        return
    with Live(console=console, auto_refresh=False) as live:
        for number in itertools.count():
            if number % ASK_EVERY == 0:
                orders = live_orders(asked.runs_dir)
            found = look(asked.runs_dir, asked.experiments, orders)
            live.update(_page(found), refresh=True)
            if all(run.state in ("done", "failed") for run in found) and not orders:
                return
            time.sleep(WATCH_EVERY_S)


def look(
    runs_dir: Path, experiments: Sequence[str], orders: Mapping[str, tuple[Order, str]] | None = None
) -> list[RunStatus]:
    """Every run of the named comparisons, or of all.

    Args:
        runs_dir: Folder of the runs.
        experiments: Names of comparisons.
        orders: SLURM's jobs by run id, shown with the runs that wait for them.

    Raises:
        RunError: If there are none.
    """
    speeds = measured_speeds(runs_dir)
    found = [status(entry, runs_dir, speeds) for entry in Ledger(runs_dir).entries(experiments)]
    if not found:
        raise RunError(f"no sweep has been started in {runs_dir}", hint="start one, or set its folder with --runs-dir")
    return [_with_job(run, orders or {}) for run in found]


def _with_job(run: RunStatus, orders: Mapping[str, tuple[Order, str]]) -> RunStatus:
    if run.entry.run_id not in orders or run.state in ("running", "done"):
        return run
    order, state = orders[run.entry.run_id]
    return replace(run, note=", ".join(filter(None, [f"SLURM job {order.job_id} {state.lower()}", run.note])))


def _page(found: Sequence[RunStatus]) -> Group:
    running = len({run.entry.run_id for run in found if run.state == "running"})
    return Group(tables(found), Text(f"{counted(found)}; {time_left(found, side_by_side=max(1, running))}"))
