"""From runs to verdicts, page and files, through the command line."""

import csv
import json
import shutil
import subprocess
import sys
import time

import pytest
from tiny import NETWORK, STACK, unet_repro

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
def verdicts(suite):
    text = (suite[0] / "reports/ablations/verdicts.json").read_text()
    return {verdict["claim"]: verdict for verdict in json.loads(text)["verdicts"]}


def test_claims_with_runs_are_judged_and_labelled(verdicts):
    assert list(verdicts) == ["C3", "C7", "C8"]
    for verdict in verdicts.values():
        assert verdict["verdict"] in ("supported", "refuted", "inconclusive"), verdict["reason"]
        assert verdict["label"].startswith("scale smoke (width 2, 8 steps), synthetic")
        assert verdict["seeds"] == 3
        assert verdict["guard"]["fair"]
    assert verdicts["C7"]["effects"][0]["estimate"] < 1e-4  # stitching is exact but for the order of sums
    assert any("searched" in finding for finding in verdicts["C3"]["guard"]["findings"])


def test_evaluations_train_nothing_and_are_made_by_the_sweep(suite):
    folder, _ = suite
    runs = [path.parent for path in folder.glob("runs/*/result.json")]
    assert len(runs) == 3 * 3  # the base runs of the other two comparisons are those of the first
    assert sum((run / "evaluations/rotations.json").exists() for run in runs) == 3
    assert "of 6 runs evaluated" in suite[1].stderr  # all others were measured as they ended
    assert all((run / "evaluations/val.json").exists() for run in runs)


def test_the_terminal_shows_the_verdicts_and_where_the_page_is(suite):
    _, done = suite
    assert "Verdicts: scale smoke" in done.stdout
    assert "C7 Mirrored overlap-tiles" in done.stdout
    assert "open reports/ablations/index.html in a browser" in done.stdout


def test_files_say_the_same_as_the_page(suite, verdicts):
    folder = suite[0] / "reports/ablations"
    with (folder / "verdicts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(verdict["effects"]) for verdict in verdicts.values())
    for row in rows:
        assert row["verdict"] == verdicts[row["claim"]]["verdict"]
        assert float(row["low"]) <= float(row["effect"]) <= float(row["high"])
    markdown = (folder / "verdicts.md").read_text()
    assert all(f"**{verdict['verdict']}**" in markdown for verdict in verdicts.values())
    for name in ("verdicts", "optimizer", "rotations"):
        assert (folder / f"{name}.png").read_bytes()[1:4] == b"PNG"
        assert (folder / f"{name}.svg").read_text().lstrip().startswith("<?xml")
    page = (folder / "index.html").read_text()
    content = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert [verdict["claim"] for verdict in content["verdicts"]] == list(verdicts)
    assert content["made"]["complete"]
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_second_report_changes_nothing_but_its_time(suite):
    folder, _ = suite
    pictures = {path: path.read_bytes() for path in folder.glob("reports/ablations/*.svg")}
    before = json.loads((folder / "reports/ablations/verdicts.json").read_text())
    assert unet_repro("report", cwd=folder).returncode == 0
    after = json.loads((folder / "reports/ablations/verdicts.json").read_text())
    assert after["verdicts"] == before["verdicts"]
    assert {path: path.read_bytes() for path in pictures} == pictures


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
    assert "8 of 9 runs" in errors
    assert "9 of 9 runs" in errors
    assert "Verdicts:" in told


def test_kept_results_hold_verdicts_and_renew_both_readmes(suite, tmp_path):
    folder = tmp_path / "suite"
    shutil.copytree(suite[0], folder)
    for ledger in folder.glob("runs/ledger/*.json"):  # as if its network were the scale's own
        ledger.write_text(json.dumps([{**row, "variant": ""} for row in json.loads(ledger.read_text())]))
    marks = "<!-- results: written by `unet-repro report --publish` -->\nan older table\n<!-- end of results -->\n"
    (tmp_path / "experiments").mkdir()
    for readme in (tmp_path / "README.md", tmp_path / "experiments/README.md"):
        readme.write_text(f"before\n{marks}after\n")
    done = unet_repro(
        "report", "--publish", str(tmp_path / "experiments"), str(tmp_path / "README.md"), cwd=folder
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "an older table" not in text
    assert "**C8** Averaging" in text
    assert "`make reproduce-ablations SCALE=smoke" in text
    index = (tmp_path / "experiments/README.md").read_text()
    assert "[optimizer](optimizer/README.md)" in index
    assert "experiments/optimizer" not in index
    kept = (tmp_path / "experiments/rotations/results/synthetic-smoke.md").read_text()
    assert "Rule: Higher IoU from the mean of 7 rotated views" in kept
    assert (tmp_path / "experiments/verdicts-synthetic-smoke.csv").exists()


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
    assert len(content["verdicts"]) == 3
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
    assert "EXPERIMENTS=all leaves out seed_runs: they need real data" in done.stdout
    assert "normalisation, synthetic" in done.stdout
