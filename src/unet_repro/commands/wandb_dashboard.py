"""``unet-repro wandb-dashboard``: the comparison in Weights & Biases, as code."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from unet_repro.commands.options import parser
from unet_repro.commands.wandb_sync import selected_runs
from unet_repro.errors import RunError, UserError
from unet_repro.files import counted, write_atomically
from unet_repro.report.made_with import question_of
from unet_repro.report.verdict_files import to_markdown
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Ledger, unique
from unet_repro.tracking import dashboard
from unet_repro.tracking.dashboard import Comparison
from unet_repro.tracking.upload import check_server
from unet_repro.tracking.verdict_run import log_verdicts

MADE = "wandb-dashboard.json"  # ids of what was built, in the runs' folder, so that a repeated call updates it
_HINT = (
    "check --entity, --project, the network and `wandb login --verify`; "
    "the local page, reports/ablations/index.html, has everything meanwhile"
)


def main(arguments: list[str]) -> None:
    """Builds or updates the workspace, the report and the verdict table."""
    asked = parser("wandb-dashboard").parse_args(arguments)

    comparisons = comparisons_of(asked.runs_dir, asked.experiments)
    trials = _read_trials(asked.verdicts)
    project = asked.project or _project(asked.runs_dir, comparisons)
    if asked.dry_run:
        print(json.dumps(_specs(project, comparisons, trials), indent=1))
        return
    check_server()
    entity = asked.entity or _attempt("find your default entity", _default_entity)
    _build(asked.runs_dir, entity, project, comparisons, trials)


def comparisons_of(runs_dir: Path, experiments: Sequence[str]) -> list[Comparison]:
    """Comparisons with the finished runs of each.

    Raises:
        RunError: If there are none.
    """
    selected_runs(runs_dir, experiments)  # reports unknown names
    ledger = Ledger(runs_dir)
    found = []
    for name in experiments or [name for name in ledger.experiments() if name != "single"]:
        entries = [entry for entry in ledger.read(name) if RunFolder(runs_dir / entry.run_id).is_done]
        if entries:
            found.append(Comparison(name, question_of(name), {entry.run_id: entry.arm for entry in unique(entries)}))
    if not found:
        raise RunError(f"no comparison in {runs_dir} has finished runs", hint="train one first")
    return found


def _project(runs_dir: Path, comparisons: Sequence[Comparison]) -> str:
    first = next(iter(comparisons[0].arms))
    return str(RunFolder(runs_dir / first).settings()["logger"]["project"])


def _read_trials(path: Path) -> list[dict[str, Any]]:
    """The trials with their verdicts; empty if no report has been written yet."""
    if not path.exists():
        sys.stderr.write(f"note: {path} does not exist, so the verdicts are left out; `unet-repro report` writes it\n")
        return []
    try:
        return list(json.loads(path.read_text())["trials"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged", hint="rewrite it with `unet-repro report`") from error


def _specs(project: str, comparisons: Sequence[Comparison], trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What would be sent, except for values that only the server knows."""
    parts = dashboard.parts_of(trials, [one.experiment for one in comparisons])
    built = dashboard.report("", project, comparisons, parts, to_markdown(trials) if trials else "")
    view = dashboard.workspace("", project, comparisons)
    return {
        "project": project,
        "workspace": json.loads(view._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)),
        "report": json.loads(built._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)),
        "verdicts": {"columns": list(dashboard.PART_COLUMNS), "rows": [list(part.values()) for part in parts]},
        "arms": dashboard.arms_by_run(comparisons),
    }


def _build(
    runs_dir: Path,
    entity: str,
    project: str,
    comparisons: Sequence[Comparison],
    trials: Sequence[Mapping[str, Any]],
) -> None:
    parts = dashboard.parts_of(trials, [one.experiment for one in comparisons])
    where = f"{entity}/{project}"
    missing = _mark_arms(where, dashboard.arms_by_run(comparisons))
    if parts:
        directory = runs_dir / "wandb-verdicts"
        print(f"verdicts: {_attempt('upload the verdicts', lambda: log_verdicts(entity, project, parts, directory))}")
    made = _made(runs_dir)
    known = made.setdefault(where, {})
    view = dashboard.workspace(entity, project, comparisons)
    if "workspace" in known:
        view._internal_name, view._internal_id = known["workspace"]
    _attempt("save the workspace", view.save)
    known["workspace"] = [view._internal_name, view._internal_id]
    table = to_markdown(trials) if trials else ""
    report = dashboard.report(entity, project, comparisons, parts, table)
    report.id = known.get("report", "")
    _attempt("save the report", report.save)
    known["report"] = report.id
    write_atomically(runs_dir / MADE, json.dumps(made, indent=1))
    print(f"workspace: {view.url}\nreport: {report.url}")
    if missing:
        number = counted(len(missing), "run")
        print(f"{number} not in {where} yet: upload them with `unet-repro wandb-sync`, then repeat this")


def _made(runs_dir: Path) -> dict[str, Any]:
    try:
        made: dict[str, Any] = json.loads((runs_dir / MADE).read_text())
    except (FileNotFoundError, ValueError):  # never built, or damaged: build them from scratch
        return {}
    return made


def _mark_arms(where: str, arms: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Writes each run's arms into its config in W&B.

    Returns:
        Runs that W&B does not have.
    """
    import wandb  # noqa: PLC0415  (slow)

    api = wandb.Api()
    missing = []
    console = Console(stderr=True)
    for run_id, of_run in track(arms.items(), description="arms", console=console, disable=not console.is_terminal):
        try:
            run = api.run(f"{where}/{run_id}")
            if run.config.get(dashboard.ARMS) != of_run:
                run.config[dashboard.ARMS] = dict(of_run)
                run.update()
        except (wandb.errors.Error, ValueError) as error:
            if "not find" not in str(error):
                raise UserError(f"W&B rejected the arms of run {run_id}: {error}", hint=_HINT) from error
            missing.append(run_id)
    return missing


def _default_entity() -> str:
    import wandb  # noqa: PLC0415  (slow)

    return str(wandb.Api().default_entity)


def _attempt(what: str, do: Callable[[], Any]) -> Any:
    """Calls W&B, whose client raises errors of many kinds; the error message names the failed step."""
    try:
        return do()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"W&B: cannot {what}: {type(error).__name__}: {error}", hint=_HINT) from error
