import csv
import json
import shutil

import pytest
from tiny import NETWORK, unet_repro

SMALL = [
    "data.num_slices=6", "data.size_px=96", *[o for o in NETWORK if not o.startswith("tiles.size")],
    "tiles.size=84",
]  # fmt: skip
SUITE = ["reproduce", "--scale", "smoke", "--data", "synthetic", "--experiments", "optimizer,normalisation"]


def table(folder):
    with (folder / "reports/ablations/table.csv").open() as file:
        return list(csv.DictReader(file))


def results(folder):
    return {path.parent.name: path for path in folder.glob("runs/*/result.json")}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Two comparisons with two seeds, two runs side by side."""
    folder = tmp_path_factory.mktemp("suite")
    done = unet_repro(*SUITE, "--jobs", "2", *SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_suite_ends_with_a_complete_table(suite):
    folder, done = suite
    rows = table(folder)
    assert [row["arm"] for row in rows] == ["none", "batch", "instance", "SGD", "Adam"]
    assert all(row["seeds"] == "0 1" and row["planned"] == "2" for row in rows)
    assert all(0 <= float(row["iou_pooled_mean"]) <= 1 for row in rows)
    assert all(0 <= float(row["iou_mean"]) <= 1 for row in rows)
    assert {row["data"] for row in rows} == {"synthetic"}
    assert "instance" in done.stdout
    markdown = (folder / "reports/ablations/table.md").read_text()
    assert sum(line.startswith("|") for line in markdown.splitlines()) == len(rows) + 2
    for name in ("optimizer", "normalisation"):
        assert (folder / f"reports/ablations/{name}.png").exists()


def test_a_run_shared_by_two_comparisons_is_trained_once(suite):
    folder, _ = suite
    assert len(results(folder)) == 2 * (2 + 3 - 1)
    by_arm = {row["arm"]: row for row in table(folder)}
    assert by_arm["SGD"]["runs"] == by_arm["none"]["runs"]
    assert by_arm["SGD"]["iou_pooled_mean"] == by_arm["none"]["iou_pooled_mean"]


def test_a_second_call_trains_nothing_and_gives_the_same_table(suite):
    folder, _ = suite
    before = {name: path.stat().st_mtime_ns for name, path in results(folder).items()}
    text = (folder / "reports/ablations/table.csv").read_text()
    done = unet_repro(*SUITE, "--jobs", "2", *SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert {name: path.stat().st_mtime_ns for name, path in results(folder).items()} == before
    assert (folder / "reports/ablations/table.csv").read_text() == text


def test_more_seeds_train_only_the_missing_ones(suite, tmp_path):
    folder, _ = suite
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    done = unet_repro(*SUITE[:-1], "optimizer", "--seeds", "3", "--jobs", "1", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(results(tmp_path)) == len(results(folder)) + 2
    seeds = {row["experiment"]: row["seeds"] for row in table(tmp_path)}
    assert seeds == {"normalisation": "0 1", "optimizer": "0 1 2"}


def test_the_order_is_seed_by_seed_so_that_an_interrupted_suite_has_whole_columns(suite):
    folder, _ = suite
    ended = sorted(results(folder).values(), key=lambda path: path.stat().st_mtime_ns)
    seeds = [json.loads(path.read_text())["seed"] for path in ended]
    # Two at a time: a run of the next seed may overtake the last one of this seed, no more.
    assert sum(seeds[: len(seeds) // 2]) <= 1


def test_a_failing_arm_does_not_stop_the_others(tmp_path):
    broken = "+experiment.arms.broken=['optimizer.lr=1e30']"
    done = unet_repro("train", "-m", "experiment=optimizer", "data=synthetic", *SMALL, broken, cwd=tmp_path)
    assert done.returncode == 1
    assert "1 of 3 runs failed" in done.stderr
    assert "broken" in done.stderr
    assert "learning rate 1e+30" in done.stderr
    assert len(results(tmp_path)) == 2
    assert [row["seeds"] for row in table(tmp_path)] == ["0", "0", ""]


def test_a_sweep_that_cannot_be_composed_fails_before_any_run(tmp_path):
    done = unet_repro("train", "-m", "data=synthetic", *SMALL, "tiles.size=84,85", cwd=tmp_path)
    assert done.returncode == 2
    assert "84 or 88" in done.stderr
    assert "Traceback" not in done.stderr
    assert not results(tmp_path)


def test_runs_on_different_data_never_share_a_row(tmp_path):
    sizes = [option if not option.startswith("data.num_slices") else "data.num_slices=6,7" for option in SMALL]
    done = unet_repro("train", "-m", "experiment=optimizer", "data=synthetic", *sizes, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = table(tmp_path)
    assert len(rows) == 4
    assert {row["variant"].split()[0] for row in rows} == {"data.num_slices=6", "data.num_slices=7"}
    assert {row["seeds"] for row in rows} == {"0"}


def test_plain_hydra_sweeps_are_one_comparison_and_end_with_their_scores(tmp_path):
    sweep = ["train", "-m", "data=synthetic", *SMALL, "seed=0,1", "model.norm=none,batch"]
    done = unet_repro(*sweep, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(results(tmp_path)) == 4
    assert [row["arm"] for row in table(tmp_path)] == ["model.norm=none", "model.norm=batch"]
    assert {(row["experiment"], row["seeds"]) for row in table(tmp_path)} == {("model.norm", "0 1")}
    for run_id, result in results(tmp_path).items():
        line = next(line for line in done.stdout.splitlines() if line.strip().startswith(run_id))
        assert f"{json.loads(result.read_text())['final']['val/iou']:.3f}" in line
        assert "model.norm=" in line
    again = unet_repro(*sweep, cwd=tmp_path)
    assert "already done: 4 of 4 runs" in again.stdout
    assert all(run_id in again.stdout for run_id in results(tmp_path))


def test_training_without_named_data_says_which_it_takes(tmp_path):
    done = unet_repro(
        "train", *SMALL[2:], cwd=tmp_path, UNET_REPRO_DATA=str(tmp_path / "empty"),
        https_proxy="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith("data: synthetic images, generated from a seed (data=auto: isbi2012 was not found")


def test_auto_says_loudly_which_data_and_why(tmp_path):
    done = unet_repro(
        *SUITE[:3], "--data", "auto", "--experiments", "optimizer", "--seeds", "1", *SMALL, cwd=tmp_path,
        UNET_REPRO_DATA=str(tmp_path / "empty"), https_proxy="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--data auto uses synthetic" in done.stdout
    assert {row["data"] for row in table(tmp_path)} == {"synthetic"}
