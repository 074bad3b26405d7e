"""Training, resuming and predicting on a CUDA GPU; skipped where there is none."""

import signal

import numpy as np
import pytest
import torch
from tiny import tiny, unet_repro

from unet_repro.config import check
from unet_repro.errors import ConfigError, Stopped
from unet_repro.inference.overlap_tile import plan_tiles, predict
from unet_repro.machine import memory_order, use_machine
from unet_repro.models.unet import UNet
from unet_repro.train import train
from unet_repro.training.build import run_folder
from unet_repro.training.task import SegmentationTask

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

GPU = ["trainer.accelerator=gpu", "trainer.precision=bf16-mixed"]
EXACT = [*GPU, "trainer.deterministic=true", "trainer.max_steps=12", "trainer.val_every=4"]
NORMS = ["none", "batch", "instance", "group"]


@pytest.mark.parametrize("norm", NORMS)
def test_predictions_equal_those_of_the_cpu_in_float32(norm):
    use_machine(None)
    torch.manual_seed(0)
    net = UNet(width=16, depth=4, norm=norm).eval()
    image = np.random.default_rng(0).standard_normal((1, 300, 260)).astype(np.float32)
    plan = plan_tiles(image.shape[1:], 4, max_tile_pixels=10**6)
    expected = predict(net, image, plan).softmax(0)
    net.to("cuda", memory_format=memory_order("cuda", 16, training=False))
    got = predict(net, image, plan, device=torch.device("cuda")).softmax(0)
    difference = float((got.cpu() - expected).abs().max())
    assert difference < 5e-4


def test_stitched_tiles_equal_the_whole_image_up_to_rounding():
    """Not to the last bit as on the CPU: cuDNN chooses an algorithm for each size."""
    use_machine(None)
    torch.manual_seed(0)
    net = UNet(width=16, depth=4).eval().to("cuda", memory_format=torch.channels_last)
    image = np.random.default_rng(0).standard_normal((1, 512, 512)).astype(np.float32)
    whole, tiled = (
        predict(net, image, plan_tiles((512, 512), 4, max_tile_pixels=pixels), device=torch.device("cuda")).softmax(0)
        for pixels in (10**7, 300**2)
    )
    difference = float((whole - tiled).abs().max())
    assert difference < 1e-4


@pytest.mark.parametrize("norm", NORMS)
def test_a_deterministic_run_that_is_stopped_ends_bit_for_bit_like_an_undisturbed_one(norm, tmp_path, monkeypatch):
    settings = [*EXACT, f"model.norm={norm}"]
    whole, cut = (tiny(tmp_path / name, *settings) for name in ("whole", "cut"))
    train(whole)
    step = SegmentationTask.training_step

    def stops(task, batch, batch_idx):
        if task.global_step == 6:
            signal.raise_signal(signal.SIGTERM)
        return step(task, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", stops)
        with pytest.raises(Stopped):
            train(cut)
    train(cut)
    one, two = (run_folder(check(config)) for config in (whole, cut))
    assert one.result() == two.result()
    assert one.history.read_bytes() == two.history.read_bytes()


def test_the_gpu_setting_trains_and_its_run_is_evaluated_and_predicted_on_the_gpu(tmp_path):
    where = {"cwd": tmp_path, "UNET_REPRO_DATA": ""}
    network = ["model.width=4", "model.depth=2", "tiles.size=84", "tiles.budget=2x84"]
    data = ["data=synthetic", "data.num_slices=6", "data.size_px=96"]
    steps = ["trainer=gpu", "scale=smoke", "trainer.max_steps=6", "trainer.val_every=3", "logger.mode=disabled"]
    done = unet_repro("train", *data, *network, *steps, **where)
    assert done.returncode == 0, done.stderr
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if (path / "result.json").exists())
    measured = unet_repro("evaluate", f"run={folder}", **where)
    assert measured.returncode == 0, measured.stderr
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, (120, 130), np.uint8))
    outputs = {}
    for device in ("gpu", "cpu"):
        name = f"{device}.tif"
        said = unet_repro(
            "predict",
            f"run={folder}",
            "input=a.tif",
            f"output={name}",
            f"device={device}",
            "kind=probabilities",
            **where,
        )
        assert said.returncode == 0, said.stderr
        outputs[device] = tifffile.imread(tmp_path / name).astype(np.float32)
    assert np.abs(outputs["gpu"] - outputs["cpu"]).max() < 1e-2


def test_a_step_waits_for_the_gpu_only_where_it_reads_the_loss_of_the_step_before(tmp_path):
    """Under ``set_sync_debug_mode("error")`` any wait inside forward pass and loss raises."""
    step = SegmentationTask.training_step
    seen = []

    def checked(task, batch, batch_idx):
        torch.cuda.set_sync_debug_mode("error" if task.global_step >= 2 else "default")
        try:
            return step(task, batch, batch_idx)
        finally:
            torch.cuda.set_sync_debug_mode("default")
            seen.append(task.global_step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", checked)
        train(tiny(tmp_path, *GPU, "trainer.max_steps=6"))
    assert len(seen) == 6


def test_more_devices_than_gpus_are_refused_before_training(tmp_path):
    with pytest.raises(ConfigError, match="CUDA GPUs"):
        train(tiny(tmp_path, *GPU, f"trainer.devices={torch.cuda.device_count() + 1}"))


def test_the_loss_falls_in_bfloat16_as_on_the_cpu_in_float32(tmp_path):
    longer = ["trainer.max_steps=60", "trainer.val_every=30", "optimizer=adam", "model.width=8"]
    gpu, cpu = tiny(tmp_path / "gpu", *GPU, *longer), tiny(tmp_path / "cpu", *longer)
    train(gpu)
    train(cpu)
    on_gpu, on_cpu = (run_folder(check(config)).result()["final"]["val/loss"] for config in (gpu, cpu))
    assert on_gpu == pytest.approx(on_cpu, rel=0.1)
