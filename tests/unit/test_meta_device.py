"""The GPU path on the meta device, which refuses what a GPU refuses: mixed devices, and copies to the host."""

from functools import partial

import numpy as np
import pytest
import torch

from unet_repro.inference.overlap_tile import plan_tiles, predict
from unet_repro.models.unet import UNet
from unet_repro.training.losses import summed_cross_entropy
from unet_repro.training.schedules import constant
from unet_repro.training.task import SegmentationTask

META = torch.device("meta")
TILE, OUTPUT, DEPTH = 30, 14, 1
NORMS = ["none", "batch", "instance", "group"]


@pytest.mark.parametrize("norm", NORMS)
def test_whole_images_are_predicted_on_the_device_of_the_network(norm):
    net = UNet(width=4, depth=DEPTH, norm=norm).to(META).eval()
    image = np.zeros((1, 60, 50), np.float32)
    scores = predict(net, image, plan_tiles((60, 50), DEPTH, max_tile_pixels=2000), device=META)

    assert (scores.device, scores.dtype, scores.shape) == (META, torch.float32, (2, 60, 50))
    total = summed_cross_entropy(scores, torch.zeros(60, 50, dtype=torch.int64, device=META))
    assert (total.device, total.dtype) == (META, torch.float64)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("norm", NORMS)
def test_a_step_neither_mixes_devices_nor_copies_to_the_host(norm, number):
    task = SegmentationTask(
        net=UNet(width=4, depth=DEPTH, norm=norm),
        optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9, fused=False),  # meta has no fused kernel
        schedule=constant,
        class_names=("background", "cell"),
        seed=0,
    ).to(META)
    optimizer = task.make_optimizer(task.net.parameters())
    images = torch.zeros(number, 1, TILE, TILE, device=META)
    classes = torch.zeros(number, OUTPUT, OUTPUT, dtype=torch.uint8, device=META)
    loss = task.training_step((images, classes, torch.ones_like(classes, dtype=torch.float32)), 0)
    loss.backward()
    optimizer.step()

    assert (loss.device, loss.dtype) == (META, torch.float32)
    assert all(parameter.grad.device == META for parameter in task.net.parameters())
    with pytest.raises(NotImplementedError, match="meta"):
        loss.cpu()
