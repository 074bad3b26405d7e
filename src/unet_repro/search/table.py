"""The trials of a study, as a table in the terminal and as CSV beside the journal."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unet_repro.files import csv_text, write_atomically
from unet_repro.search.study import finished, overrides_of


def describe(
    trials: Sequence[FrozenTrial], run_ids: Mapping[int, str], searched: Collection[str]
) -> list[dict[str, Any]]:
    """A row for each trial: number, state, value, run, settings, and why it has no value, if known."""
    return [
        {
            "trial": trial.number,
            "state": trial.user_attrs.get("state", trial.state.name.lower()),
            "value": trial.value if trial.state == TrialState.COMPLETE else None,
            "run": run_ids.get(trial.number, ""),
            **{key: trial.params.get(key) for key in searched},
            "reason": trial.user_attrs.get("reason", ""),
        }
        for trial in trials
    ]


def show(
    study: optuna.Study,
    name: str,
    journal: Path,
    *,
    measure: str,
    searched: Collection[str],
    run_ids: Mapping[int, str],
    arm: Sequence[str],
) -> None:
    """Prints the table and the command of the best trial; writes the CSV.

    Args:
        study: The study.
        name: Its name in the table.
        journal: Its file.
        measure: The minimised measure.
        searched: Names of the searched settings.
        run_ids: Run ids of the trials, by number.
        arm: Overrides that all trials share.
    """
    rows = describe([trial for trial in study.trials if trial.state.is_finished()], run_ids, searched)
    columns = ["trial", "state", "value", "run", *searched, "reason"]
    write_atomically(journal.with_suffix(".csv"), csv_text(rows, columns))

    best = finished(study)[:1]
    table = Table(title=f"{name}: {measure}, smaller is better", title_justify="left", box=SIMPLE_HEAD)
    for heading in columns[:-1]:
        table.add_column(measure if heading == "value" else heading, no_wrap=heading == "run")
    for row in rows:
        cells = [Text(_text(row[column])) for column in columns[:-1]]
        table.add_row(*cells, style="bold green" if best and row["trial"] == best[0].number else None)
    Console().print(table)
    for row in rows:
        if row["reason"]:
            print(f"trial {row['trial']} {row['state']}: {row['reason']}")
    if best:
        print(f"best: {shlex.join(['unet-repro', 'train', *arm, *overrides_of(best[0])])}")
    print(f"written: {journal.with_suffix('.csv')}", flush=True)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
