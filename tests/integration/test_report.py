"""From runs to verdicts, page and files, through the command line."""

import csv
import json
import shutil
import subprocess
import sys
import time

import pytest
from tiny import NETWORK, STACK, unet_repro

from unet_repro.report.publish import BEGIN, END
from unet_repro.report.record import RecordOfScale

EXPERIMENTS = "optimizer,overlap_tile,rotations"
SUITE = [
    "reproduce", "--scale", "smoke", "--data", "synthetic", "--experiments", EXPERIMENTS, "--seeds", "3", "--jobs", "2",
    *STACK[1:], *NETWORK,
]  # fmt: skip


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    done = unet_repro(*SUITE, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def trial(suite):
    (found,) = json.loads((suite[0] / "reports/ablations/verdicts.json").read_text())["trials"]
    return found


def content_of(folder, name="index.html"):
    page = (folder / "reports/ablations" / name).read_text()
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


def test_nothing_is_judged_at_smoke(trial):
    parts = {part["id"]: part for claim in trial["claims"] for part in claim["parts"]}
    assert {part["word"] for part in parts.values()} == {"no verdict"}
    assert trial["scope"].startswith("scale smoke (width 2, 8 steps), synthetic")
    assert "nothing is judged" in trial["banner"]
    assert set(parts["C3a"]["not_started"]) <= {0, 1, 2}
    assert trial["runs"] == 6


def test_evaluations_train_nothing_and_are_made_by_the_sweep(suite):
    folder, _ = suite
    runs = [path.parent for path in folder.glob("runs/*/result.json")]
    assert len(runs) == 2 * 3  # the base runs of the other two comparisons are those of the first
    sections = [set(json.loads((run / "evaluations/trial.json").read_text())) for run in runs]
    assert all("at_threshold" in found for found in sections)
    assert sum({"border", "seam"} <= found for found in sections) == 3


def test_the_terminal_shows_the_verdicts_and_where_the_page_is(suite):
    _, done = suite
    assert "Verdicts: scale smoke" in done.stdout
    assert "C7a Is a prediction stitched" in done.stdout
    assert "open reports/ablations/index.html in a browser" in done.stdout


def test_files_say_the_same_as_the_page(suite, trial):
    folder = suite[0] / "reports/ablations"
    with (folder / "verdicts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["word"] for row in rows} == {"no verdict"}
    assert len(rows) == 21 + 2  # contrasts, and exact parts
    assert (folder / "verdicts.md").read_text().count("**no verdict**") == 14
    for name in ("optimizer", "rotations"):
        assert (folder / f"{name}.png").read_bytes()[1:4] == b"PNG"
        assert (folder / f"{name}.svg").read_text().lstrip().startswith("<?xml")
    content = content_of(suite[0])
    assert content["trials"] == [trial]
    assert content["made"]["complete"]
    assert [one["experiment"] for one in content["comparisons"]] == ["optimizer", "overlap_tile", "rotations"]
    assert len(content["gallery"]["predictions"]) == 3
    assert "http://" not in (folder / "index.html").read_text().replace("http://www.w3.org", "")


def test_the_page_shows_the_commands_that_made_it(suite):
    command, *singles = content_of(suite[0])["made"]["commands"]
    assert command.startswith("unet-repro reproduce --scale smoke --data synthetic --seeds 3 --experiments optimizer")
    for override in (*STACK[1:], *NETWORK[:3]):
        assert override in command
        assert all(override in single for single in singles)


def test_runs_on_the_page_link_to_their_settings(suite):
    folder = suite[0] / "reports/ablations"
    run = content_of(suite[0])["comparisons"][0]["arms"][0]["runs"][0]
    assert (folder / run["href"]).resolve() == (suite[0] / "runs" / run["id"] / "config.yaml").resolve()
    assert (folder / run["href"]).exists()


def test_a_second_report_changes_nothing_but_its_time(suite):
    folder, _ = suite
    pictures = {path: path.read_bytes() for path in folder.glob("reports/ablations/*.svg")}
    before = json.loads((folder / "reports/ablations/verdicts.json").read_text())
    assert unet_repro("report", cwd=folder).returncode == 0
    after = json.loads((folder / "reports/ablations/verdicts.json").read_text())
    assert after["trials"] == before["trials"]
    assert {path: path.read_bytes() for path in pictures} == pictures


def test_a_report_of_some_comparisons_does_not_replace_that_of_all(suite):
    folder, _ = suite
    before = (folder / "reports/ablations/index.html").read_bytes()
    done = unet_repro("report", "optimizer", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "reports/ablations/index.html").read_bytes() == before
    content = content_of(folder, "optimizer/index.html")
    assert [one["experiment"] for one in content["comparisons"]] == ["optimizer"]
    run = content["comparisons"][0]["arms"][0]["runs"][0]
    assert (folder / "reports/ablations/optimizer" / run["href"]).exists()


def test_a_running_suite_can_be_watched(suite, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(suite[0], folder)
    shutil.rmtree(folder / "reports")
    unfinished = next(folder.glob("runs/*/result.json"))
    result = unfinished.read_text()
    unfinished.unlink()
    watcher = subprocess.Popen(
        [sys.executable, "-m", "unet_repro", "report", "--watch", "--every", "1"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    page = folder / "reports/ablations/index.html"
    deadline = time.monotonic() + 120
    while not page.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert '"complete": false' in page.read_text() or '"complete":false' in page.read_text()
    unfinished.write_text(result)
    told, errors = watcher.communicate(timeout=120)
    assert watcher.returncode == 0, errors
    assert "5 of 6 runs" in errors
    assert "6 of 6 runs" in errors
    assert "Verdicts:" in told


def test_finished_runs_are_added_to_the_record_once(suite, tmp_path):
    folder = tmp_path / "suite"
    shutil.copytree(suite[0], folder)
    for ledger in folder.glob("runs/ledger/*.json"):  # as if its network were the scale's own
        ledger.write_text(json.dumps([{**row, "variant": ""} for row in json.loads(ledger.read_text())]))
    for name in ("README.md", "experiments/README.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{BEGIN}\n{END}\n")
    added = []
    for _ in range(2):
        done = unet_repro("report", "--add-to-record", "smoke", "--checkout", str(tmp_path), cwd=folder)
        assert done.returncode == 0, done.stderr
        added.append(done.stdout.splitlines()[0].split(" to ")[0])
    assert added == ["6 runs added", "0 runs added"]
    record = RecordOfScale(tmp_path / "experiments/record/smoke")
    arms = [one.arms for one in record.records()]
    assert {"optimizer": "Adam"} in arms or {"optimizer": "SGD"} in arms  # one of the two is the base
    assert any({"overlap_tile", "rotations"} <= set(one) for one in arms)
    assert len(record.pictures()["gallery"]["predictions"]) == 3
    page = (tmp_path / "docs/page/index.html").read_text()
    assert len(json.loads(page.split('id="data">')[1].split("</script>")[0])["gallery"]["predictions"]) == 3


def test_images_that_are_not_there_any_more_are_said_and_nothing_else_is_lost(suite, tmp_path):
    folder = tmp_path / "suite"
    shutil.copytree(suite[0], folder)
    for manifest in folder.glob("runs/*/manifest.json"):
        manifest.write_text(manifest.read_text().replace('"digest": "', '"digest": "0'))
    done = unet_repro("report", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the page shows no images: the images of synthetic have changed") == 1
    page = (folder / "reports/ablations/index.html").read_text()
    content = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert len(content["comparisons"]) == 3
    assert content["gallery"]["tiles"] == {}


def test_nothing_to_watch_or_to_report_is_an_error_that_says_what_to_do(tmp_path):
    for arguments in (["report"], ["report", "--watch"]):
        done = unet_repro(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "start one" in done.stderr or "train some runs first" in done.stderr


def test_all_leaves_the_seed_runs_out_where_their_data_are_not(tmp_path):
    done = unet_repro(
        "reproduce", "--dry-run", "--experiments", "all", "--data", "synthetic", "--scale", "smoke", "--seeds", "1",
        "data.num_slices=30", "data.size_px=200", *NETWORK, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--experiments all leaves out seed_runs: they need real data" in done.stdout
    assert "normalisation, synthetic" in done.stdout
