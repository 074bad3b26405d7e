"""Callbacks and trainer options of the configuration: what they change, and that a resumed run equals a whole one."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from tiny import tiny

from unet_repro.config import check
from unet_repro.errors import Abandoned, ConfigError, TrainingError
from unet_repro.train import train
from unet_repro.training.build import build, read_data, run_folder
from unet_repro.training.task import SegmentationTask

COUNTING = ["+callbacks.counting._target_=test_callbacks.Counting"]


class Counting(Callback):
    """Shifts a bias by an amount that depends on how many steps it has seen."""

    def __init__(self, shift=1e-3):
        self.shift, self.count = shift, torch.zeros((), dtype=torch.int64)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.count += 1
        with torch.no_grad():
            pl_module.net.head.bias.add_(self.shift * float(self.count))

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"].clone()


class Stopping(Callback):
    """Ends the training after four steps."""

    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step == 4


def weights(folder, name="last"):
    return torch.load(getattr(folder, name), weights_only=True)["state_dict"]


def interrupted(config, monkeypatch, step):
    """Trains a run that is killed once, at the given step."""
    honest = SegmentationTask.training_step

    def failing(self, batch, batch_idx):
        if self.global_step == step:
            raise MemoryError
        return honest(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", failing)
        with pytest.raises(MemoryError):
            train(config)
    return train(config)


@pytest.mark.parametrize(
    "options",
    [COUNTING, ["callbacks=ema", "callbacks.ema.decay=0.5"], ["trainer.accumulate_grad_batches=3", "model.dropout=0.5"],
     ["trainer.gradient_clip_val=0.01"]],
    ids=["own", "ema", "accumulation", "clipping"],
)  # fmt: skip
@pytest.mark.parametrize("step", [3, 6])
def test_a_resumed_run_equals_a_whole_one_bit_for_bit(tmp_path, monkeypatch, options, step):
    result = train(tiny(tmp_path / "whole", *options))
    whole = run_folder(check(tiny(tmp_path / "whole", *options)))
    config = tiny(tmp_path / "cut", "trainer.save_every_s=0", *options)
    assert interrupted(config, monkeypatch, step) == result
    cut = run_folder(check(config))
    assert cut.history.read_bytes() == whole.history.read_bytes()
    for name in ("last", "best"):
        assert all(torch.equal(tensor, weights(cut, name)[key]) for key, tensor in weights(whole, name).items())


def test_a_run_killed_after_its_last_step_has_the_same_result(tmp_path):
    def abandon(row):
        if row["step"] == 8:
            raise Abandoned

    options = ["callbacks=ema", "callbacks.ema.decay=0.5"]
    whole = train(tiny(tmp_path / "whole", *options))
    config = tiny(tmp_path / "cut", *options)
    with pytest.raises(Abandoned):
        train(config, on_row=abandon)
    assert train(config) == whole


def test_averaged_weights_are_those_that_were_validated_and_saved(tmp_path):
    plain = train(tiny(tmp_path))
    options = ["callbacks=ema", "callbacks.ema.decay=0.5"]
    averaged = train(tiny(tmp_path, *options))
    assert averaged["run_id"] != plain["run_id"]
    assert averaged["final"]["train/loss"] == plain["final"]["train/loss"], "the training itself is the same"
    assert averaged["final"]["val/loss"] != plain["final"]["val/loss"]
    best_is_last = averaged["best"]["step"] == averaged["final"]["step"]
    assert (averaged["weights"]["best"] == averaged["weights"]["last"]) is best_is_last
    folder = run_folder(check(tiny(tmp_path, *options)))
    config = check(tiny(tmp_path, *options))
    tiles, task = build(config, read_data(config))
    tiles.setup("fit")
    task.load_state_dict(weights(folder))
    task.eval()
    total = pixels = 0.0
    for item in tiles.val_images.items:
        scores = task.predict_image(item.image)
        classes = torch.from_numpy(item.classes).long()
        total += float(torch.nn.functional.cross_entropy(scores[None], classes[None], reduction="sum"))
        pixels += classes.numel()
    assert total / pixels == pytest.approx(averaged["final"]["val/loss"], rel=1e-5)


def test_accumulated_batches_train_like_one_batch_of_the_same_tiles(tmp_path):
    common = ["trainer.precision=64-true", "weight_map=none", "model.dropout=0"]
    one = train(tiny(tmp_path, *common, "tiles.budget=4x84"))
    several = train(tiny(tmp_path, *common, "tiles.budget=2x84", "trainer.accumulate_grad_batches=2"))
    assert several["steps"] == one["steps"] == 8
    for name in ("val/loss", "train/loss"):
        assert several["final"][name] == pytest.approx(one["final"][name], rel=1e-6)
    assert several["weights"] != train(tiny(tmp_path, *common, "tiles.budget=2x84"))["weights"]


def test_clipped_gradients_bound_the_distance_from_the_initial_weights(tmp_path):
    options = ["optimizer.lr=1", "optimizer.momentum=0", "schedule=constant"]
    config = tiny(tmp_path, *options, "trainer.gradient_clip_val=1e-3")
    train(config)
    checked = check(config)
    start = build(checked, read_data(checked))[1].state_dict()
    end = weights(run_folder(checked))
    distance = np.sqrt(sum(float(((end[name] - start[name]) ** 2).sum()) for name in start))
    assert 1e-3 < distance < 8 * 1.01e-3


def test_a_callback_that_ends_the_training_early_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="ended the training at step 4 of 8"):
        train(tiny(tmp_path, "+callbacks.stopping._target_=test_callbacks.Stopping"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["+callbacks.mine._target_=fractions.Fraction"],
            "callbacks.mine._target_=fractions.Fraction is not a Lightning callback",
        ),
        (["callbacks=device_stats"], "Lightning rejected the training.*DeviceStatsMonitor"),
        (
            ["+logger.mine._target_=fractions.Fraction"],
            "logger.mine._target_=fractions.Fraction is not a Lightning logger",
        ),
    ],
)
def test_what_lightning_cannot_use_is_a_configuration_error(tmp_path, options, says):
    with pytest.raises(ConfigError, match=says):
        train(tiny(tmp_path, *options))
