"""Lists the runs of a folder, those of comparisons and single ones, from what is on disk. Imports nothing slow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from unet_repro.errors import RunError, UserError
from unet_repro.files import changed_ns
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.setting import in_words
from unet_repro.sweep.status import STATES, empty_table, first_line, state_of
from unet_repro.sweep.summary import SCORES, scores


@dataclass(frozen=True)
class ListedRun:
    """One run.

    Attributes:
        run_id: Its id.
        setting: What differs from the defaults, as overrides.
        data: Its data set.
        scale: Its scale.
        seed: Its seed.
        scores: Texts of ``SCORES``.
        when: When it finished, or was last worked on.
        state: ``new``, ``running``, ``partial``, ``failed`` or ``done``.
        note: Its progress, or why it failed.
    """

    run_id: str
    setting: str
    data: str
    scale: str
    seed: str
    scores: tuple[str, ...]
    when: datetime
    state: str
    note: str


def listed(runs_dir: Path, *, state: str | None = None, sort: Literal["when", "score"] = "when") -> list[ListedRun]:
    """All runs of a folder.

    Args:
        runs_dir: The folder.
        state: Only runs in this state.
        sort: Latest first, or best ``iou_pooled`` first.

    Raises:
        RunError: If it has no runs.
    """
    folders = [RunFolder(path.parent) for path in runs_dir.glob("*/config.yaml")]
    if not folders:
        raise RunError(f"there are no runs in {runs_dir}", hint="train one, or name the folder of the runs")
    runs = sorted((_listed(folder) for folder in folders), key=lambda run: run.when, reverse=True)
    if sort == "score":
        at = list(SCORES).index("iou_pooled")
        runs.sort(key=lambda run: float(run.scores[at].replace("-", "-1")), reverse=True)
    return [run for run in runs if state in (None, run.state)]


def table(runs: Sequence[ListedRun]) -> Table:
    """The runs as a terminal table."""
    lines = empty_table(("run", "setting", "data", "scale", "seed", *SCORES, "when", "state"))
    for run in runs:
        state = Text(run.state, style=STATES.get(run.state, ""))
        if run.note:
            state.append(f": {run.note}", style="default")
        lines.add_row(
            run.run_id, Text(run.setting), Text(run.data), run.scale, run.seed, *run.scores,
            f"{run.when:%Y-%m-%d %H:%M}", state,
        )  # fmt: skip
    return lines


def _listed(folder: RunFolder) -> ListedRun:
    """A run; one whose files are damaged is listed with the reason."""
    try:
        settings, result, steps = folder.settings(), folder.result(), folder.steps_in_words()
        data = _data(folder, settings)
    except UserError as error:
        return ListedRun(folder.run_id, "?", "?", "?", "?", ("-",) * len(SCORES), _when(folder), "failed", error.what)
    state = state_of(folder)
    notes = {"failed": first_line(folder.error), "running": steps, "partial": steps}
    return ListedRun(
        run_id=folder.run_id,
        setting=in_words(settings),
        data=data,
        scale=str(settings.get("scale")),
        seed=str(settings.get("seed")),
        scores=tuple(scores(result)),
        when=_when(folder),
        state=state,
        note=notes.get(state, ""),
    )


def _data(folder: RunFolder, settings: dict[str, Any]) -> str:
    """The source's name, and its folder if the user named one."""
    try:
        name = str((folder.read_manifest() or {})["source"])
    except (RunError, KeyError):
        name = str(settings["data"]["_target_"]).rpartition(".")[2].lower()
    root = settings["data"].get("root")
    return f"{name} {root}" if root else name


def _when(folder: RunFolder) -> datetime:
    files = (folder.error, folder.progress, folder.config)
    written = changed_ns(folder.result_file) or max(changed_ns(path) or 0 for path in files)
    return datetime.fromtimestamp(written / 1e9).astimezone()
