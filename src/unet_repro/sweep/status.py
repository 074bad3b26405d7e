"""The status of every run of a sweep and the time left, from the runs' folders, with any launcher."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry, Ledger, unique

# Seconds of training for one unit of ``Entry.cost``, by ``Entry.speed_class``.
Speeds = Mapping[str, float]
STATES = {"done": "green", "running": "cyan", "failed": "bold red", "partial": "yellow", "new": ""}  # -> style
_PIPE_WIDTH = 200  # columns
_NO_REASON = "for no known reason"


@dataclass(frozen=True)
class RunStatus:
    """One run as part of one comparison.

    Attributes:
        entry: The run.
        state: ``new``, ``running``, ``partial``, ``failed`` or ``done``.
        note: Its worker, its progress, or why it failed.
        seconds_left: Estimated training time left; ``None`` if no speed is known for such a run.
    """

    entry: Entry
    state: str
    note: str
    seconds_left: float | None


def measured_speeds(runs_dir: Path, entries: Iterable[Entry] = ()) -> dict[str, float]:
    """Mean seconds per unit of cost, by speed class, of all training in this folder so far.

    Args:
        runs_dir: Folder of the runs.
        entries: Runs that are not in a ledger yet.
    """
    seconds: dict[str, float] = defaultdict(float)
    cost: dict[str, float] = defaultdict(float)
    for entry in unique([*entries, *Ledger(runs_dir).entries()]):
        progress = RunFolder(runs_dir / entry.run_id).progress_now()
        if progress is not None and progress["step"] > 0:
            seconds[entry.speed_class] += progress["seconds"]
            cost[entry.speed_class] += entry.cost * progress["step"] / progress["of"]
    return {name: seconds[name] / cost[name] for name in cost}


def status(entry: Entry, runs_dir: Path, speeds: Speeds) -> RunStatus:
    """The status of a run, from its folder.

    Args:
        entry: The run.
        runs_dir: Folder of the runs.
        speeds: Speeds, for example from ``measured_speeds``.
    """
    folder = RunFolder(runs_dir / entry.run_id)
    speed = speeds.get(entry.speed_class)
    left = None if speed is None else entry.cost * (1 - folder.share_done()) * speed
    state, steps = state_of(folder), folder.steps_in_words()
    note = steps if state == "partial" else ""
    if state == "running":
        note = ", ".join(filter(None, [str(folder.holder() or ""), steps]))
    elif state == "failed":
        note = f"{first_line(folder.error)} ({folder.error})"
    return RunStatus(entry, state, note, 0.0 if state == "done" else left)


def state_of(folder: RunFolder) -> str:
    """``new``, ``running``, ``partial``, ``failed`` or ``done``."""
    state = folder.state
    return "running" if state != "done" and folder.running else state


def first_line(path: Path) -> str:
    """The reason in an ``error.txt``."""
    with contextlib.suppress(FileNotFoundError):  # a new attempt has just removed it
        return (path.read_text(errors="replace").splitlines() or [_NO_REASON])[0]
    return _NO_REASON


def time_left(found: Sequence[RunStatus], *, side_by_side: int) -> str:
    """The total time left, as text.

    Args:
        found: Runs; a run in several comparisons counts once.
        side_by_side: Number of parallel runs.
    """
    runs = {run.entry.run_id: run for run in found if run.state != "done"}.values()
    if not runs:
        return "nothing left to train"
    known = [run.seconds_left for run in runs if run.seconds_left is not None]
    if not known:
        return "time left: unknown until something has been trained"
    seconds = sum(known) / len(known) * len(runs) / max(1, min(side_by_side, len(runs)))
    rest = f" ({len(runs) - len(known)} of them estimated by the mean of the others)" if len(known) < len(runs) else ""
    return f"time left: about {in_words(seconds)}, {min(side_by_side, len(runs))} side by side{rest}"


def in_words(seconds: float) -> str:
    """Formats a duration.

    >>> in_words(42), in_words(4000), in_words(1e6)
    ('42 s', '1 h 7 min', '277 h 47 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counted(found: Iterable[RunStatus]) -> str:
    """Counts runs by state; a run in several comparisons counts once."""
    states = [run.state for run in {run.entry.run_id: run for run in found}.values()]
    order = ("done", "running", "partial", "failed", "new")
    return f"{len(states)} runs: " + ", ".join(f"{states.count(state)} {state}" for state in order if state in states)


def tables(found: Sequence[RunStatus]) -> Group:
    """All runs as terminal tables, one for each comparison."""
    groups: dict[tuple[str, str], list[RunStatus]] = defaultdict(list)
    for run in found:
        groups[run.entry.experiment, run.entry.comparison].append(run)
    return Group(*(_table(runs) for runs in groups.values()))


def _table(runs: Sequence[RunStatus]) -> Table:
    lines = empty_table(("arm", "seed", "run", "state", "", "time left"), title=title_of(runs[0].entry))
    for run in runs:
        left = "" if run.state == "done" else "?" if run.seconds_left is None else in_words(run.seconds_left)
        state = Text(run.state, style=STATES[run.state])
        # As Text, so that names and error messages are not parsed as markup.
        lines.add_row(Text(run.entry.arm), str(run.entry.seed), run.entry.run_id, state, Text(run.note), left)
    return lines


def title_of(entry: Entry) -> str:
    """The title of an entry's comparison."""
    return ", ".join(filter(None, [entry.experiment, entry.data, f"scale {entry.scale}", entry.variant]))


def empty_table(headings: Sequence[str], *, title: str | None = None) -> Table:
    """A terminal table whose run ids stay in one piece."""
    lines = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        lines.add_column(heading, overflow="fold", no_wrap=heading == "run")
    return lines


def terminal() -> Console:
    """The terminal, or, for a pipe or file, a console wide enough for a line per run."""
    found = Console()
    return found if found.is_terminal else Console(width=_PIPE_WIDTH)
