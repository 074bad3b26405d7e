"""``unet-repro wandb-dashboard``: the comparison in Weights & Biases, as code."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from unet_repro.commands.wandb_sync import selected_runs
from unet_repro.errors import RunError, UserError
from unet_repro.report.page_data import question_of
from unet_repro.report.table import REPORT_DIR
from unet_repro.report.verdicts import decisive, to_markdown
from unet_repro.runs.folder import RunFolder, write_atomically
from unet_repro.sweep.ledger import Ledger, unique
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
    parser = argparse.ArgumentParser(
        prog="unet-repro wandb-dashboard",
        description="Builds the comparison in Weights & Biases: a workspace and a report with the page's panels, and "
        "the verdict table. Upload the runs first: unet-repro wandb-sync. A repeated call updates what it built.",
    )
    parser.add_argument("experiments", nargs="*", help="which comparisons (default: all)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--verdicts", type=Path, default=REPORT_DIR / "verdicts.json", help="what `unet-repro report` "
                        "wrote (default %(default)s)")  # fmt: skip
    parser.add_argument("--entity", help="user or team (default: your W&B default)")
    parser.add_argument("--project", help="W&B project (default: the runs' project)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be built, as JSON; needs no network")
    asked = parser.parse_args(arguments)

    comparisons = comparisons_of(asked.runs_dir, asked.experiments)
    verdicts = _read_verdicts(asked.verdicts, [one.experiment for one in comparisons])
    project = asked.project or _project(asked.runs_dir, comparisons)
    if asked.dry_run:
        print(json.dumps(_specs(project, comparisons, verdicts), indent=1))
        return
    check_server()
    entity = asked.entity or _attempt("find your default entity", _default_entity)
    _build(asked.runs_dir, entity, project, comparisons, verdicts)


def comparisons_of(runs_dir: Path, experiments: Sequence[str]) -> list[Comparison]:
    """Comparisons with the finished runs of each.

    Raises:
        RunError: If there are none.
    """
    selected_runs(runs_dir, experiments)  # reports unknown names
    ledger = Ledger(runs_dir)
    found = []
    for name in experiments or [name for name in ledger.experiments() if name != "single"]:
        entries = [entry for entry in ledger.read(name) if RunFolder(runs_dir / entry.run_id).result_file.exists()]
        if entries:
            found.append(Comparison(name, question_of(name), {entry.run_id: entry.arm for entry in unique(entries)}))
    if not found:
        raise RunError(f"no comparison in {runs_dir} has finished runs", hint="train one first")
    return found


def _project(runs_dir: Path, comparisons: Sequence[Comparison]) -> str:
    first = next(iter(comparisons[0].arms))
    return str(RunFolder(runs_dir / first).settings()["logger"]["project"])


def _read_verdicts(path: Path, experiments: Sequence[str]) -> list[dict[str, Any]]:
    """Verdicts of the comparisons, each with its decisive effect; empty if no report has been written yet."""
    if not path.exists():
        sys.stderr.write(f"note: {path} does not exist, so the verdicts are left out; `unet-repro report` writes it\n")
        return []
    try:
        verdicts = json.loads(path.read_text())["verdicts"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged", hint="rewrite it with `unet-repro report`") from error
    return [{**verdict, "decisive": decisive(verdict)} for verdict in verdicts if verdict["experiment"] in experiments]


def _specs(project: str, comparisons: Sequence[Comparison], verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What would be sent, except for values that only the server knows."""
    built = dashboard.report("", project, comparisons, verdicts, to_markdown(verdicts) if verdicts else "")
    view = dashboard.workspace("", project, comparisons)
    return {
        "project": project,
        "workspace": json.loads(view._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)),
        "report": json.loads(built._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)),
        "verdicts": {"columns": list(dashboard.VERDICT_COLUMNS), "rows": dashboard.verdict_rows(verdicts)},
        "arms": dashboard.arms_by_run(comparisons),
    }


def _build(
    runs_dir: Path,
    entity: str,
    project: str,
    comparisons: Sequence[Comparison],
    verdicts: Sequence[Mapping[str, Any]],
) -> None:
    where = f"{entity}/{project}"
    missing = _mark_arms(where, dashboard.arms_by_run(comparisons))
    if verdicts:
        rows = dashboard.verdict_rows(verdicts)
        directory = runs_dir / "wandb-verdicts"
        print(f"verdicts: {_attempt('upload the verdicts', lambda: log_verdicts(entity, project, rows, directory))}")
    made = _made(runs_dir)
    known = made.setdefault(where, {})
    view = dashboard.workspace(entity, project, comparisons)
    if "workspace" in known:
        view._internal_name, view._internal_id = known["workspace"]
    _attempt("save the workspace", view.save)
    known["workspace"] = [view._internal_name, view._internal_id]
    table = to_markdown(verdicts) if verdicts else ""
    report = dashboard.report(entity, project, comparisons, verdicts, table)
    report.id = known.get("report", "")
    _attempt("save the report", report.save)
    known["report"] = report.id
    write_atomically(runs_dir / MADE, json.dumps(made, indent=1))
    print(f"workspace: {view.url}\nreport: {report.url}")
    if missing:
        print(f"{len(missing)} runs are not in {where} yet: upload them with `unet-repro wandb-sync`, then repeat this")


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
