import csv
import json
import os

import numpy as np
import pytest
import torch
import yaml
from tiny import tiny

from unet_repro import train as train_module
from unet_repro.config import check
from unet_repro.errors import DataError, RunError, TrainingError
from unet_repro.evaluation.likely_classes import measure_images
from unet_repro.evaluation.trained_run import open_trained
from unet_repro.machine import use_machine
from unet_repro.runs.folder import RunFolder
from unet_repro.train import train
from unet_repro.training import fit as fit_module
from unet_repro.training.build import build, read_data, run_folder
from unet_repro.training.task import SegmentationTask


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny run: its configuration, folder and result."""
    config = tiny(tmp_path_factory.mktemp("runs"))
    result = train(config)
    return config, run_folder(check(config)), result


def measured(run, part, checkpoint):
    return measure_images(open_trained(run, checkpoint), part)


def weights(folder):
    return torch.load(folder.last, weights_only=True)["state_dict"]


def test_a_finished_run_has_all_its_records(finished):
    config, folder, result = finished
    assert folder.state == "done"
    assert yaml.safe_load(folder.config.read_text()) == json.loads(json.dumps(check(config).plain()))
    assert json.loads(folder.result_file.read_text()) == result
    with folder.history.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8]
    assert result["final"]["val/iou"] == float(rows[-1]["val/iou"])
    assert result["best"]["val/iou"] == max(float(row["val/iou"]) for row in rows)
    assert {"val/loss", "val/iou", "val/iou_membrane", "val/iou_cell", "val/dice", "val/pixel_error", "val/iou_stepped",
            "train/loss", "train/ce", "lr"} < set(rows[0])  # fmt: skip
    assert result["data"] == "synthetic"
    assert result["batch"]["num_tiles"] == 2
    assert not list(folder.path.glob("*.tmp"))
    assert not list(folder.path.glob(".*.part"))


def test_a_second_call_returns_the_result_without_training(finished, monkeypatch):
    config, _, result = finished
    monkeypatch.setattr(train_module, "fit", lambda *_: pytest.fail("trained again"))
    assert train(config) == result


def test_runs_differ_in_identity_only_where_numbers_can_differ(tmp_path):
    base = run_folder(check(tiny(tmp_path))).run_id
    same = ["logger.mode=offline", "trainer.threads=2", "trainer.num_workers=3"]
    same += ["trainer.accumulate_grad_batches=1", "callbacks=device_stats", "logger=csv"]
    other = ["trainer.gradient_clip_val=1.0", "trainer.accumulate_grad_batches=2", "callbacks=ema",
             "seed=1", "optimizer.lr=2e-3", "model.norm=batch", "augment=none", "weight_map.w0=9", "data.seed=1",
             "split.gap=0", "trainer.max_steps=10", "tiles.budget=1x84", "trainer.precision=64-true"]  # fmt: skip
    assert {run_folder(check(tiny(tmp_path, override))).run_id for override in same} == {base}
    ids = [run_folder(check(tiny(tmp_path, override))).run_id for override in other]
    assert len({base, *ids}) == len(other) + 1


def test_a_run_shared_by_experiments_has_one_identity(tmp_path):
    ids = {run_folder(check(tiny(tmp_path, f"experiment={name}"))).run_id for name in ("tile_size", "weight_map")}
    parts = ["split=replicate", "weight_map=none", "schedule=constant_then_linear"]
    assert ids == {run_folder(check(tiny(tmp_path, *parts))).run_id}


def test_a_resumed_run_takes_the_threads_that_it_began_with(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    config = tiny(tmp_path, "trainer.threads=null", "trainer.progress=true")
    monkeypatch.setattr(fit_module, "faster_threads", lambda step: step() or 2)
    honest, seen = SegmentationTask.training_step, []

    def failing(self, batch, batch_idx):
        seen.append(torch.get_num_threads())
        if len(seen) == 4:
            raise MemoryError
        return honest(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationTask, "training_step", failing)
    try:
        with pytest.raises(MemoryError):
            train(config)
        monkeypatch.setattr(fit_module, "faster_threads", lambda _: pytest.fail("chose anew"))
        train(config)
        assert set(seen) == {2}
        folder = run_folder(check(config))
        assert json.loads(folder.provenance.read_text())["threads"] == 2
        train(tiny(tmp_path, "trainer.threads=1", "seed=1"))
        assert seen[-1] == 1
    finally:
        use_machine(1)
    assert "32-true, 2 threads (the faster of 1 and" in capsys.readouterr().err


@pytest.mark.parametrize("fails_at", [1, 3, 6])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(finished, tmp_path, monkeypatch, fails_at):
    _, whole, _ = finished
    config = tiny(tmp_path)
    honest = SegmentationTask.training_step

    def failing(self, batch, batch_idx):
        if self.global_step == fails_at:
            raise MemoryError("the machine ran out of memory")
        return honest(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationTask, "training_step", failing)
    with pytest.raises(MemoryError):
        train(config)
    folder = run_folder(check(config))
    assert folder.state == "failed"
    assert "out of memory" in folder.error.read_text()
    monkeypatch.undo()
    train(config)
    assert folder.state == "done"
    assert folder.history.read_bytes() == whole.history.read_bytes()
    assert all(torch.equal(tensor, weights(folder)[name]) for name, tensor in weights(whole).items())


@pytest.mark.parametrize(
    "override",
    ["optimizer=adam", "schedule=plateau", "schedule=warmup_cosine", "model.norm=batch", "trainer.precision=64-true"],
)
def test_resuming_keeps_optimizer_schedule_and_statistics(tmp_path, monkeypatch, override):
    extra = [override, "model.dropout=0.5"] if override != "schedule=plateau" else [override, "schedule.patience=0"]
    whole = tiny(tmp_path / "whole", *extra)
    train(whole)
    config = tiny(tmp_path / "cut", *extra)
    honest = SegmentationTask.training_step

    def failing(self, batch, batch_idx):
        if self.global_step == 5:
            raise MemoryError
        return honest(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationTask, "training_step", failing)
    with pytest.raises(MemoryError):
        train(config)
    monkeypatch.undo()
    train(config)
    one, two = run_folder(check(whole)), run_folder(check(config))
    assert one.history.read_bytes() == two.history.read_bytes()
    assert all(torch.equal(tensor, weights(two)[name]) for name, tensor in weights(one).items())


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path):
    config = tiny(tmp_path, "optimizer.lr=1e30", "logger.mode=disabled")
    with pytest.raises(TrainingError, match=r"step [1-8] \(learning rate 1e\+30\); there is no checkpoint yet"):
        train(config)
    folder = run_folder(check(config))
    assert folder.state == "failed"
    assert folder.result() is None


def test_a_checkpoint_of_another_architecture_is_refused_before_training(finished, tmp_path):
    _, other, _ = finished
    config = tiny(tmp_path, "model.width=3")
    folder = run_folder(check(config))
    folder.path.mkdir(parents=True)
    folder.last.write_bytes(other.last.read_bytes())
    with pytest.raises(TrainingError, match="another architecture: net.down.0.0.bias"):
        train(config)


def test_a_checkpoint_that_runs_code_is_never_unpickled(finished, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    config = tiny(tmp_path)
    folder = run_folder(check(config))
    folder.path.mkdir(parents=True)
    torch.save({"state_dict": {}, "payload": Evil()}, folder.last)
    with pytest.raises(RunError, match="damaged or not a checkpoint"):
        train(config)
    assert not (tmp_path / "owned").exists()


def test_two_processes_never_train_one_run(tmp_path):
    config = tiny(tmp_path)
    folder = run_folder(check(config))
    with folder.hold(), pytest.raises(RunError, match="another process is training"):
        train(config)
    assert train(config)["steps"] == 8


def test_evaluate_repeats_the_validation_of_the_training(finished):
    _, folder, result = finished
    (last,) = measured(folder.path, "val", "last").values()
    for name in ("iou", "iou_membrane", "dice", "pixel_error", "iou_stepped", "loss"):
        assert last[name] == pytest.approx(result["final"][f"val/{name}"], abs=1e-6)
    (best,) = measured(folder.path, "val", "best").values()
    assert best["iou"] == pytest.approx(result["best"]["val/iou"], abs=1e-6)


def test_evaluate_measures_the_open_test_set(finished):
    _, folder, _ = finished
    assert set(measured(folder.path, "test", "best")) == {f"test/{n:02d}" for n in range(6)}


def test_evaluate_refuses_what_is_no_run(tmp_path, finished):
    with pytest.raises(RunError, match="not a run's folder"):
        open_trained(tmp_path, "best")
    config = tiny(tmp_path)
    folder = run_folder(check(config))
    folder.begin(check(config).plain(), read_data(check(config)).manifest)
    with pytest.raises(RunError, match="no checkpoint"):
        open_trained(folder.path, "best")


def test_data_changed_under_a_run_are_noticed(tmp_path):
    import cv2

    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (tmp_path / "own" / kind).mkdir(parents=True)
    for n in range(5):
        labels = np.zeros((96, 96), np.uint8)
        labels[10:40, 10:80], labels[50:90, 20:60] = 255, 255
        cv2.imwrite(str(tmp_path / f"own/labels/{n}.png"), labels)
        noisy = np.clip(labels * 0.4 + rng.normal(60, 20, labels.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"own/images/{n}.png"), noisy)
    config = tiny(tmp_path / "runs", data=["data=folder", f"data.root={tmp_path / 'own'}"])
    train(config)
    folder = run_folder(check(config))
    assert open_trained(folder.path, "best").data_name == "folder"
    cv2.imwrite(str(tmp_path / "own/images/4.png"), 255 - cv2.imread(str(tmp_path / "own/images/4.png"), 0))
    with pytest.raises(RunError, match="data have changed"):
        open_trained(folder.path, "best")
    assert run_folder(check(config)).run_id != folder.run_id
    data, _ = build(check(config), read_data(check(config)))
    with pytest.raises(DataError, match="the test part has no labelled images"):
        data.whole_images("test")


def test_a_damaged_result_is_an_error_not_a_result(tmp_path):
    folder = RunFolder(tmp_path / "abc")
    folder.path.mkdir()
    folder.result_file.write_text("{half")
    with pytest.raises(RunError, match="damaged"):
        folder.result()


def test_a_training_whose_loss_is_not_finite_leaves_its_history_and_the_reason(tmp_path, monkeypatch):
    step = SegmentationTask.training_step

    def broken(task, batch, number):
        images, *others = batch
        return step(task, [images * (float("nan") if task.global_step == 5 else 1), *others], number)

    monkeypatch.setattr(SegmentationTask, "training_step", broken)
    config = tiny(tmp_path, "trainer.val_every=2")
    for _ in range(2):  # a further attempt ends in the same way
        with pytest.raises(TrainingError, match="the loss is nan at step 5"):
            train(config)
        folder = run_folder(check(config))
        assert folder.state == "failed"
        assert folder.error.read_text().startswith("TrainingError: the loss is nan at step 5 ")
        assert folder.result() is None
        assert folder.curves()["step"] == [2, 4]
        assert len(folder.curves()["val/iou_own"]) == 2
