import cv2
import numpy as np
import pytest
import wandb
from tiny import tiny
from wandb_reading import read_run

from unet_repro.config import check
from unet_repro.train import run_folder, train


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The W&B file of a finished training, read back."""
    config = tiny(
        tmp_path_factory.mktemp("runs"), "experiment=optimizer", "arm=an arm", "logger.mode=offline", "seed=3"
    )
    result = train(config)
    wandb.teardown()  # W&B writes its last block after the run is closed
    return read_run(run_folder(check(config)).path), result


def test_the_offline_run_tells_which_run_it_is(record):
    run, result = record
    assert run.run["id"] == result["run_id"]
    assert run.run["group"] == "optimizer"
    assert run.run["name"] == "an arm, seed 3"
    assert run.config["optimizer"]["momentum"] == 0.99
    assert run.config["seed"] == 3


def test_the_offline_run_holds_the_whole_history(record):
    run, result = record
    rows = [row for row in run.history if "val/iou" in row]
    assert [row["trainer/global_step"] for row in rows] == [2, 4, 6, 8]
    assert rows[-1]["val/iou"] == pytest.approx(result["final"]["val/iou"])
    assert rows[-1]["train/loss"] == pytest.approx(result["final"]["train/loss"])


def test_the_offline_run_holds_masks_of_prediction_and_truth(record):
    run, _ = record
    (panel,) = (row["val/panel"] for row in run.history if "val/panel" in row)
    (masks,) = panel["all_masks"]
    for kind in ("prediction", "ground_truth"):
        mask = cv2.imread(str(run.folder / "files" / masks[kind]["path"]), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (96, 96)
        assert set(np.unique(mask)) <= {0, 1}
