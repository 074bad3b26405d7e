"""What W&B has of a training that was run through ``train``, killed or not."""

import shutil

import cv2
import numpy as np
import pytest
import wandb
from tiny import tiny
from wandb_server import WandbServer

from unet_repro.config import check
from unet_repro.errors import Abandoned
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.network import open_network
from unet_repro.tracking import mirror
from unet_repro.tracking.finished import ensure_offline_run, offline_file_of
from unet_repro.tracking.reading import offline_file, read_run
from unet_repro.train import train
from unet_repro.training.build import run_folder

STEPS = [2, 4, 6, 8]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The W&B file of a finished training, read back."""
    given = ["experiment=optimizer", "arm=an arm", "logger.mode=offline", "logger.checkpoints=true", "seed=3"]
    config = tiny(tmp_path_factory.mktemp("runs"), *given)
    result = train(config)
    return read_run(offline_file(run_folder(check(config)).path)), result


def abandoning_at(step):
    def on_row(row):
        if row["step"] == step:
            raise Abandoned

    return on_row


def rows_of(run):
    return [row for row in run.history if "val/iou" in row]


def test_the_offline_run_tells_which_run_it_is(record):
    run, result = record
    assert run.run["id"] == result["run_id"]
    assert run.run["group"] == "optimizer"
    assert run.run["name"] == "optimizer / an arm, seed 3"
    assert run.config["optimizer"]["momentum"] == 0.99
    assert run.config["seed"] == 3


def test_the_offline_run_holds_the_whole_history(record):
    run, result = record
    rows = rows_of(run)
    assert [row["trainer/global_step"] for row in rows] == STEPS
    assert rows[-1]["val/iou"] == pytest.approx(result["final"]["val/iou"])
    assert rows[-1]["train/loss"] == pytest.approx(result["final"]["train/loss"])


def test_the_offline_run_can_be_sorted_by_its_best_and_final_values(record):
    run, result = record
    assert run.summary["best/val/iou"] == result["best"]["val/iou"]
    assert run.summary["final/val/iou"] == result["final"]["val/iou"]
    assert run.summary["parameters"] == result["parameters"]
    assert run.summary["seconds"] >= 0


def test_the_offline_run_holds_masks_of_prediction_and_truth(record):
    run, _ = record
    (panel,) = (row["val/panel"] for row in run.history if "val/panel" in row)
    (masks,) = panel["all_masks"]
    for kind in ("prediction", "ground_truth"):
        mask = cv2.imread(str(run.folder / "files" / masks[kind]["path"]), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (96, 96)
        assert set(np.unique(mask)) <= {0, 1}


def test_a_checkpoint_that_is_downloaded_is_the_folder_of_a_run(record, tmp_path):
    run, result = record
    assert set(run.artifacts) == {f"model-{result['run_id']}:{aliases}" for aliases in ("best,latest", "last,latest")}
    for files in run.artifacts.values():
        for path in files:
            shutil.copy(path, tmp_path)
    for checkpoint in ("best", "last"):
        network = open_network(tmp_path, checkpoint)
        assert network.predict(np.zeros((96, 96), np.uint8)).shape == (96, 96)


def test_an_interrupted_training_has_one_whole_offline_run(record, tmp_path):
    undisturbed, _ = record
    config = tiny(tmp_path, "experiment=optimizer", "arm=an arm", "logger.mode=offline", "seed=3")
    for step in STEPS[:2]:
        with pytest.raises(Abandoned):
            train(config, on_row=abandoning_at(step))
    folder = run_folder(check(config))
    assert not list(folder.path.glob("wandb/*")), "W&B has nothing of an unfinished training"
    train(config)
    run = read_run(offline_file(folder.path))
    keys = ("trainer/global_step", "val/iou", "val/loss", "train/loss")
    assert [[row[key] for key in keys] for row in rows_of(run)] == [
        [row[key] for key in keys] for row in rows_of(undisturbed)
    ]


def test_an_attempt_that_died_while_it_wrote_is_written_anew_with_its_panel(tmp_path, monkeypatch):
    config = tiny(tmp_path, "logger.mode=offline")
    folder = run_folder(check(config))

    def die(directory, **_):
        (directory / "wandb" / "offline-run-20260101_000000-half").mkdir(parents=True)
        (directory / "wandb" / "offline-run-20260101_000000-half" / "run-half.wandb").write_bytes(b":W&B")
        raise Abandoned

    with monkeypatch.context() as broken:
        broken.setattr(mirror, "write_finished", die)
        with pytest.raises(Abandoned):
            train(config)
    assert folder.state == "partial"
    train(config)
    run = read_run(offline_file(folder.path))
    assert [row["trainer/global_step"] for row in rows_of(run)] == STEPS
    assert sum("val/panel" in row for row in run.history) == 1


def test_disabled_writes_nothing(tmp_path):
    train(tiny(tmp_path, "logger.mode=disabled"))
    assert not list(tmp_path.rglob("wandb"))


def test_wandbs_own_variables_are_respected(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_ENTITY", "my-team")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    config = tiny(tmp_path / "runs", "logger=wandb")
    config.logger.mode = "offline"
    result = train(config)
    (path,) = tmp_path.rglob("*.wandb")
    assert path.is_relative_to(tmp_path / "elsewhere" / result["run_id"] / "wandb")
    assert read_run(path).run["project"] == "mine"
    assert read_run(path).run["entity"] == "my-team"
    folder = run_folder(check(config))
    monkeypatch.delenv("WANDB_DIR")
    assert offline_file_of(folder) == path, "its place is part of the run's record"
    assert not ensure_offline_run(folder), "it is complete"


def test_an_interrupted_online_training_arrives_once_and_whole(tmp_path, monkeypatch):
    config = tiny(tmp_path, "logger.mode=online", "logger.checkpoints=true")
    wandb.teardown()  # else the address of a process that has ended comes back with the other variables
    for name in ("WANDB_MODE", "WANDB_SERVICE"):
        monkeypatch.delenv(name, raising=False)
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        wandb.teardown()  # W&B reads its environment once per session
        with pytest.raises(Abandoned):
            train(config, on_row=abandoning_at(STEPS[1]))
        result = train(config)
        wandb.teardown()
        rows = [row for row in server.history(result["run_id"]) if "val/iou" in row]
    assert [row["trainer/global_step"] for row in rows] == STEPS
    recorded = RunFolder(tmp_path / result["run_id"]).history_rows()
    assert [row["val/iou"] for row in rows] == [row["val/iou"] for row in recorded]
    assert len([name for name in server.files[result["run_id"]] if name.startswith("media/images/mask/")]) == 2
    aliases = [{alias["alias"] for alias in made["aliases"]} for made in server.artifacts]
    assert aliases == [{"latest", "best"}, {"latest", "last"}]
    assert server.summary(result["run_id"])["best/val/iou"] == result["best"]["val/iou"]
