"""``unet-repro wandb-sync``: uploads finished runs to Weights & Biases."""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from unet_repro.commands.options import parser
from unet_repro.errors import RunError, UserError
from unet_repro.files import locked
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Ledger, unique
from unet_repro.sweep.status import first_line, state_of
from unet_repro.tracking.finished import about, ensure_offline_run, offline_file_of
from unet_repro.tracking.links import link_offline_run
from unet_repro.tracking.upload import Upload, check_server, has_arrived


@dataclass(frozen=True)
class Run:
    """A selected run.

    Attributes:
        folder: Its folder.
        title: Comparison, arm and seed, for display.
    """

    folder: RunFolder
    title: str


@dataclass
class Sorted:
    """Runs by outcome.

    Attributes:
        waiting: .wandb files to upload, resolved, with their runs.
        there: Runs that W&B already has.
        missing: Runs that were not uploaded, with the reason.
        went: Runs that were uploaded now.
    """

    waiting: dict[Path, Run]
    there: list[Run]
    missing: list[tuple[Run, str]]
    went: list[Run]


def main(arguments: list[str]) -> None:
    """Uploads the runs that W&B does not have yet, and prints the outcome of each."""
    asked = parser("wandb-sync").parse_args(arguments)

    runs = selected_runs(asked.runs_dir, asked.experiments)
    with locked(
        asked.runs_dir / ".wandb-sync.lock",
        hint="check its permissions",
        busy=RunError(f"another wandb-sync is running in {asked.runs_dir}", hint="wait for it to end"),
    ):
        found = sync(runs, entity=asked.entity, force=asked.force)
    if found.missing:
        raise SystemExit(1)


def selected_runs(runs_dir: Path, experiments: Sequence[str]) -> list[Run]:
    """The runs of the named comparisons; without names, all runs in the folder.

    Raises:
        RunError: If there are none, or the ledger is damaged.
    """
    runs: dict[str, Run] = {}
    for entry in unique(Ledger(runs_dir).entries(experiments)):
        title = f"{entry.experiment} / {entry.arm}, seed {entry.seed}"
        runs[entry.run_id] = Run(RunFolder(runs_dir / entry.run_id), title)
    if not experiments:
        for path in sorted(runs_dir.glob("*/config.yaml")):
            runs.setdefault(path.parent.name, Run(RunFolder(path.parent), _title(RunFolder(path.parent))))
    if not runs:
        raise RunError(f"there are no runs in {runs_dir}", hint="train some first, or set their folder with --runs-dir")
    return list(runs.values())


def sync(runs: Iterable[Run], *, entity: str | None = None, force: bool = False) -> Sorted:
    """Uploads the finished runs that W&B does not have yet; prints and returns the outcome of each.

    Args:
        runs: The selected runs.
        entity: User or team to upload to; ``None`` for the user's default.
        force: Also upload runs that W&B already has.

    Raises:
        UserError: If there is something to upload and the login was rejected.
    """
    found = Sorted({}, [], [], [])
    finished = []
    for run in runs:
        if run.folder.state != "done":
            found.missing.append((run, _unfinished(run.folder)))
            continue
        _link(run.folder)
        if not force and _is_there(run.folder):
            found.there.append(run)
        else:
            finished.append(run)
    url = None
    if finished:
        address = check_server()
        with _bar() as bar:
            for run in bar.track(finished, description="reading"):
                _prepare(run, found)
            task = bar.add_task("uploading", total=len(found.waiting))
            upload = Upload(
                list(found.waiting),
                address=address,
                entity=entity,
                on_done=lambda done: bar.update(task, completed=done),
            )
            reasons = upload.run() if found.waiting else {}
        found.went = [run for path, run in found.waiting.items() if path not in reasons]
        found.missing += [(found.waiting[path], reason) for path, reason in reasons.items()]
        url = upload.project_url
    print("\n".join(_report(found, url)))
    return found


def _prepare(run: Run, found: Sorted) -> None:
    """Ensures that the run's offline file is complete."""
    try:
        ensure_offline_run(run.folder)
    except UserError as error:
        found.missing.append((run, error.what))
        return
    path = offline_file_of(run.folder)
    assert path is not None, "ensure_offline_run has written it"
    found.waiting[path.resolve()] = run


def _title(folder: RunFolder) -> str:
    """The title of a run that is in no ledger."""
    try:
        return str(about(folder.settings(), run_id=folder.run_id, source="")["name"])
    except (RunError, KeyError, TypeError):  # an unreadable configuration is reported when the run is uploaded
        return "?"


def _is_there(folder: RunFolder) -> bool:
    try:
        path = offline_file_of(folder)
        if path is not None:
            return has_arrived(path)
        return bool(folder.settings()["logger"]["mode"] == "online")  # it was uploaded while it was trained
    except RunError:  # reported when it is read again
        return False


def _link(folder: RunFolder) -> None:
    """Links the run's offline files for W&B's own commands, in case the run has no link yet, or was moved."""
    with contextlib.suppress(RunError):  # reported when it is read again
        if (path := offline_file_of(folder)) is not None:
            link_offline_run(path)


def _unfinished(folder: RunFolder) -> str:
    state, steps = state_of(folder), folder.steps_in_words()
    if state == "running":
        return "is being trained"
    if state == "failed":
        return f"failed: {first_line(folder.error)}"
    return f"unfinished, at {steps}" if state == "partial" and steps else "not trained yet"


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("runs"),
        TimeElapsedColumn(), TextColumn("time left:"), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


def _report(found: Sorted, url: str | None) -> Iterator[str]:
    if found.went:
        yield f"uploaded ({len(found.went)}){f' to {url}' if url else ''}:"
        yield from (f"  {_name(run)}" for run in found.went)
    elif not found.missing:
        yield "nothing to upload"
    if found.there:
        yield f"already uploaded ({len(found.there)}):"
        yield from (f"  {_name(run)}" for run in found.there)
    if found.missing:
        yield f"not uploaded ({len(found.missing)}):"
        yield from (f"  {_name(run)}: {reason}" for run, reason in found.missing)


def _name(run: Run) -> str:
    return f"{run.folder.run_id}  {run.title}"
