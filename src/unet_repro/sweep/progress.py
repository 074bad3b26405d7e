"""Progress of a sweep, read from the runs' folders, so that it works with any launcher."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from unet_repro.errors import UserError
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry

POLL_S = 1.0


class _TimeLeft(ProgressColumn):
    """Remaining work over the mean speed of this sweep: with runs of different cost, recent speeds are too noisy."""

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields["before"]
        if not done or task.elapsed is None:
            return Text("time left: measuring")
        left = int((task.total or 0) - task.completed) * task.elapsed / done
        minutes, seconds = divmod(int(left), 60)
        return Text(f"time left: {minutes}:{seconds:02d}")


class SweepProgress:
    """A progress bar over all runs of a sweep, in a separate thread.

    Args:
        entries: The distinct runs of the sweep.
        runs_dir: Folder of the runs.
        on_run_done: Called after a run has finished, to update the tables.
        is_done: Whether a run is done; by default, whether it has a result.
        doing: Label of the count, such as ``runs``.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        runs_dir: Path,
        on_run_done: Callable[[], object],
        *,
        is_done: Callable[[Entry], bool] | None = None,
        doing: str = "runs",
    ) -> None:
        self.entries, self.is_done, self.doing = entries, is_done, doing
        self.folders = {entry.run_id: RunFolder(runs_dir / entry.run_id) for entry in entries}
        self.on_run_done = on_run_done
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._num_done = self._count_done()
        total = sum(entry.cost for entry in entries)
        before = self._cost_done()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(), _TimeLeft(), console=Console(stderr=True), refresh_per_second=2,
        )  # fmt: skip
        self._task = self._bar.add_task(self._words(), total=total, before=before)
        self._bar.update(self._task, completed=before)

    def __enter__(self) -> "SweepProgress":
        self._bar.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._refresh()
        self._bar.stop()

    def show_line(self, line: str) -> None:
        """Shows a line above the bar."""
        self._bar.console.print(line, markup=False, highlight=False)

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            self._refresh()

    def _refresh(self) -> None:
        num_done = self._count_done()
        if num_done != self._num_done:
            self._num_done = num_done
            with contextlib.suppress(UserError):  # repeated, with errors reported, at the end of the sweep
                self.on_run_done()
            if not self._bar.console.is_terminal:  # a log file gets a line for each run instead of a bar
                self._bar.console.print(self._words())
        self._bar.update(self._task, completed=self._cost_done(), description=self._words())

    def _words(self) -> str:
        return f"{self._num_done} of {len(self.entries)} {self.doing}"

    def _count_done(self) -> int:
        return sum(self._is_done(entry) for entry in self.entries)

    def _cost_done(self) -> float:
        return sum(entry.cost * self._share_done(entry) for entry in self.entries)

    def _is_done(self, entry: Entry) -> bool:
        return self.folders[entry.run_id].is_done if self.is_done is None else self.is_done(entry)

    def _share_done(self, entry: Entry) -> float:
        if self._is_done(entry):
            return 1.0
        return 0.0 if self.is_done is not None else self.folders[entry.run_id].share_done()
