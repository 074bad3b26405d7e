import multiprocessing
import signal
import time

import pytest
import torch
from tiny import tiny
from torch._dynamo.utils import counters

from unet_repro.config import check
from unet_repro.errors import ConfigError, Stopped, TrainingError
from unet_repro.train import train
from unet_repro.training.build import run_folder
from unet_repro.training.ranks import beside
from unet_repro.training.task import SegmentationTask

ONE = ["split.val_share=0.34", "trainer.precision=64-true", "trainer.max_steps=4"]  # two validation images
TWO = [
    "split.val_share=0.34",
    "trainer=ddp",
    "trainer.precision=64-true",
    "trainer.max_steps=4",
    "trainer.val_every=2",
    "trainer.threads=1",
    "trainer.progress=false",
]


def fails(rank):
    raise MemoryError(f"of device {rank}")


def test_the_failure_of_another_process_is_the_reason(capfd):
    def lose_connection():
        multiprocessing.active_children()[0].join(60)
        raise RuntimeError("connection closed by peer")

    with pytest.raises(TrainingError, match="the process of device 1 of 2 failed"), beside(fails, (), 2):
        lose_connection()
    assert "MemoryError: of device 1" in capfd.readouterr().err
    with pytest.raises(ConfigError, match="ours"), beside(fails, (), 2):
        raise ConfigError("ours", hint="none")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # torch, of its own
def test_a_network_is_compiled_once_for_all_tiles_before_the_clock_starts(tmp_path):
    """Whole images of validation have other sizes than tiles, and are predicted without compiling."""
    torch._dynamo.reset()
    counters.clear()
    settings = ["trainer.compile=true", "trainer.precision=bf16-mixed", "trainer.num_workers=2"]
    started = time.monotonic()
    folder, content = trained(tiny(tmp_path, *settings))
    assert dict(counters["frames"]) == {"total": 1, "ok": 1}
    assert folder.outcome()["seconds"] < 0.5 * (time.monotonic() - started)
    assert {tensor.dtype for tensor in content["state_dict"].values()} == {torch.float32}


def trained(config):
    train(config)
    folder = run_folder(check(config))
    return folder, torch.load(folder.last, weights_only=True)


@pytest.mark.parametrize(
    "overrides", [["model.norm=instance"], ["model.norm=group", "model.dropout=0.5", "trainer.num_workers=1"]]
)
def test_two_processes_train_what_one_does(tmp_path, overrides):
    one, content = trained(tiny(tmp_path / "one", *ONE, *overrides))
    two, shared = trained(tiny(tmp_path / "two", *TWO, *overrides))
    assert one.run_id == two.run_id
    for name, tensor in content["state_dict"].items():
        torch.testing.assert_close(shared["state_dict"][name], tensor, rtol=1e-9, atol=1e-12)
    first, second = one.result(), two.result()
    assert first["batch"] == second["batch"]
    assert second["final"] == pytest.approx(first["final"], rel=1e-6)


def test_two_processes_stop_together_and_go_on(tmp_path, monkeypatch):
    whole, content = trained(tiny(tmp_path / "whole", *TWO))
    config = tiny(tmp_path / "cut", *TWO)
    honest = SegmentationTask.training_step

    def signalled(task, batch, batch_idx):
        if task.global_step == 2:
            signal.raise_signal(signal.SIGTERM)
        return honest(task, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", signalled)  # of the first process alone
        with pytest.raises(Stopped):
            train(config)
    folder = run_folder(check(config))
    assert torch.load(folder.last, weights_only=True)["global_step"] == 3
    folder, resumed = trained(config)
    assert folder.history.read_bytes() == whole.history.read_bytes()
    assert all(torch.equal(tensor, resumed["state_dict"][name]) for name, tensor in content["state_dict"].items())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tiles.budget=3x84"], "cannot divide 3 tiles"),
        (["trainer.devices=7"], "cannot divide"),
        (["tiles.budget=4x84", "trainer.devices=4"], "cannot divide 2 validation images"),
        (
            ["tiles.budget=2x84", "trainer.devices=2", "trainer.threshold_images=1"],
            "cannot divide 1 training images",
        ),
        (["model.norm=batch"], "batch norm over several CPU processes"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_training(tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        train(tiny(tmp_path, *TWO, *overrides))
    assert not list(tmp_path.glob("*/last.ckpt"))
