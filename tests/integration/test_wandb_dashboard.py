"""The dashboard with W&B's real client against a recording server on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from wandb_server import WandbServer, serving

from unet_repro.commands.wandb_dashboard import main
from unet_repro.errors import RunError, UserError
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry, Ledger
from unet_repro.tracking.finished import write_finished
from unet_repro.tracking.reading import offline_file, read_run

ROWS = [{"step": step, "val/iou": step / 100} for step in (10, 20)]
CONFIG = {
    "seed": 0, "scale": "cpu", "arm": "A", "experiment": {"name": "optimizer", "claim": "C3"},
    "optimizer": {"_target_": "torch.optim.SGD", "lr": 1e-3}, "split": {"fold": 3},
    "tiles": {"size": 572, "budget": "1x572"},
    "logger": {"mode": "offline", "project": "unet-repro", "panel_images": 0},
}  # fmt: skip
VERDICTS = {
    "made": {},
    "trials": [{
        "scale": "cpu", "data": "isbi2012", "lead": "One question is open.", "banner": "", "state": None,
        "claims": [{"id": "C3", "statement": "Adam is faster.", "word": "open", "parts": [
            {"id": "C3a", "experiment": "optimizer", "question": "Is Adam faster?", "word": "open", "short": "unsure",
             "found": "Adam was 10 steps faster.", "sure": "p = 0.4", "replicates": 10, "look": 1, "next_look": 20},
            {"id": "C9", "experiment": "split", "question": "?", "word": "open", "short": "", "found": "", "sure": ""},
        ]}],
    }],
}  # fmt: skip


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path / "home", monkeypatch) as running:
        yield running


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Two runs, one of them shared by two comparisons, and the verdicts on them."""
    folder = tmp_path / "runs"
    places = [("optimizer", "A", "one"), ("optimizer", "B", "two"), ("rotations", "base", "one")]
    Ledger(folder).record(
        Entry(experiment, arm, 0, "cpu", "isbi2012", "", run_id, (), 1.0, "k") for experiment, arm, run_id in places
    )
    for run_id in ("one", "two"):
        run = RunFolder(folder / run_id)
        run.path.mkdir(parents=True)
        run.config.write_text(yaml.safe_dump(CONFIG))
        run.finish({"run_id": run_id, "data": "isbi2012", "final": ROWS[-1], "best": ROWS[-1], "parameters": 9}, {})
    report = tmp_path / "reports/ablations/verdicts.json"
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps(VERDICTS))
    return folder


def spec(server: WandbServer, kind: str) -> dict[str, Any]:
    return json.loads(server.views[kind][-1]["spec"])


def panels(found: Any) -> list[dict[str, Any]]:
    """Every panel of a spec, wherever it lies."""
    if isinstance(found, list):
        return [panel for part in found for panel in panels(part)]
    if not isinstance(found, dict):
        return []
    here = [found] if "viewType" in found else []
    return here + [panel for part in found.values() for panel in panels(part)]


def test_workspace_report_and_verdicts_arrive(server, runs_dir, capsys):
    server.known_runs = {"one", "two"}
    main(["--entity", "team"])
    shown = capsys.readouterr().out
    assert "workspace: " in shown
    assert "report: " in shown

    sections = spec(server, "project-view")["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == ["All runs", "Optimizer", "Rotated views"]
    kinds = [panel["viewType"] for panel in sections[1]["panels"]]
    assert kinds.count("Run History Line Plot") == 3
    assert "Bar Chart" in kinds
    assert "Parallel Coordinates Plot" in kinds
    lines = [panel["config"] for panel in sections[1]["panels"] if panel["viewType"] == "Run History Line Plot"]
    assert [line["metrics"] for line in lines] == [["val/iou"], ["val/loss"], ["train/ce"]]
    assert {line["groupBy"] for line in lines} == {"arms.value.optimizer"}
    assert {line["xAxis"] for line in lines} == {"trainer/global_step"}

    report = server.views["runs"][-1]["spec"]
    assert "C3a: open (cpu, isbi2012). Adam was 10 steps faster." in report
    assert "**C3a** Is Adam faster?" in report
    assert '"arms.value.rotations"' in report
    assert len(panels(json.loads(report))) == 2 * 5

    (table,) = server.tables()
    assert table["columns"][:3] == ["claim", "part", "experiment"]
    (row,) = (dict(zip(table["columns"], row, strict=True)) for row in table["data"])
    assert (row["part"], row["word"], row["sure"], row["replicates"]) == ("C3a", "open", "p = 0.4", 10)
    assert server.runs["verdicts"]["jobType"] == "trial"


def test_a_shared_run_gets_its_arm_in_every_comparison(server, runs_dir):
    server.known_runs = {"one", "two"}
    main(["--entity", "team"])
    arms = {run_id: json.loads(server.runs[run_id]["config"])["arms"]["value"] for run_id in ("one", "two")}
    assert arms == {"one": {"optimizer": "A", "rotations": "base"}, "two": {"optimizer": "B"}}


def test_repeated_it_renews_what_it_made(server, runs_dir):
    server.known_runs = {"one", "two"}
    main(["--entity", "team"])
    main(["--entity", "team"])
    for kind in ("project-view", "runs"):
        first, second = server.views[kind]
        assert not first.get("id")
        assert second["id"] == f"id-{kind}"


def test_runs_that_were_not_uploaded_are_told(server, runs_dir, capsys):
    server.known_runs = {"one"}
    main(["--entity", "team"])
    assert "1 run not in team/unet-repro yet: upload them with `unet-repro wandb-sync`" in capsys.readouterr().out


def test_without_verdicts_the_rest_is_built(server, runs_dir, tmp_path, capsys):
    server.known_runs = {"one", "two"}
    main(["--entity", "team", "--verdicts", str(tmp_path / "none.json")])
    assert "the verdicts are left out" in capsys.readouterr().err
    assert "verdicts" not in server.runs
    assert server.views["runs"]


def test_a_dry_run_asks_no_server(runs_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    main(["--dry-run"])
    built = json.loads(capsys.readouterr().out)
    assert set(built) == {"project", "workspace", "report", "verdicts", "arms"}
    assert built["arms"]["one"] == {"optimizer": "A", "rotations": "base"}
    assert built["verdicts"]["rows"][0][0] == "C3"


def test_without_a_key_the_error_says_what_to_do(server, runs_dir, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    wandb.teardown()
    with pytest.raises(UserError, match="no API key") as caught:
        main(["--entity", "team"])
    assert "wandb login" in caught.value.hint


def test_a_server_that_refuses_is_named_with_the_step(server, runs_dir):
    server.known_runs = {"one", "two"}
    server.refusals["UpsertView2"] = 403
    with pytest.raises(UserError, match="cannot save the workspace") as caught:
        main(["--entity", "team"])
    assert "local page" in caught.value.hint


def test_no_runs_and_damaged_verdicts_are_errors(runs_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no runs of 'nonsense'"):
        main(["nonsense", "--dry-run"])
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        main(["--dry-run", "--verdicts", str(tmp_path / "bad.json")])


def test_the_offline_file_holds_keys_to_group_by(tmp_path):
    outcome = {"run_id": "one", "data": "isbi2012", "final": ROWS[-1], "best": ROWS[-1], "parameters": 9}
    write_finished(tmp_path, config=CONFIG, rows=ROWS, outcome=outcome, panel=None)
    wandb.teardown()  # else the process of W&B that it started is looked for in tests that come later
    found = read_run(offline_file(tmp_path))
    compare = found.config["compare"]
    assert compare["optimizer"] == "SGD"
    assert compare["arm"] == "A"
    assert compare["claim"] == "C3"
    assert compare["data"] == "isbi2012"
    assert compare["tile_size"] == 572
    assert compare["fold"] == 3
