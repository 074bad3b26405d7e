"""Pixel measures agree with torchmetrics' own and with counting pixel by pixel."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

from unet_repro.metrics.pixel import PixelMeasures, confusion, dice_per_class, iou_per_class, pixel_error


def images(num_classes, number=4, seed=0):
    """Truths, and predictions that agree with them at about two pixels of three."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(num_classes, (number, 17, 23), generator=generator)
    other = torch.randint(num_classes, (number, 17, 23), generator=generator)
    kept = torch.rand(truth.shape, generator=generator) < 2 / 3
    return torch.where(kept, truth, other), truth


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_pooled_measures_are_those_of_torchmetrics_over_all_pixels(num_classes):
    predicted, truth = images(num_classes)
    names = [f"c{n}" for n in range(num_classes)]
    ours = PixelMeasures(names)
    jaccard = MulticlassJaccardIndex(num_classes, average=None)
    dice = MulticlassF1Score(num_classes, average="macro")
    accuracy = MulticlassAccuracy(num_classes, average="micro")
    for one, other in zip(predicted, truth, strict=True):
        ours.update(one, other)
        for theirs in (jaccard, dice, accuracy):
            theirs.update(one[None], other[None])
    got = ours.compute()

    torch.testing.assert_close(torch.stack([got[f"iou_{name}"] for name in names]).float(), jaccard.compute())
    torch.testing.assert_close(got["iou"].float(), jaccard.compute().mean())
    torch.testing.assert_close(got["dice"].float(), dice.compute())
    torch.testing.assert_close(got["pixel_error"].float(), 1 - accuracy.compute())


pixels = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40)


@settings(deadline=None)
@given(pixels=pixels)
def test_measures_are_those_of_sets_of_pixels(pixels):
    predicted, truth = (torch.tensor(side) for side in zip(*pixels, strict=True))
    matrix = confusion(predicted, truth, 3)
    ious, dices = [], []
    for label in range(3):
        found = {n for n, (p, _) in enumerate(pixels) if p == label}
        real = {n for n, (_, t) in enumerate(pixels) if t == label}
        both, either = len(found & real), len(found | real)
        ious.append(both / either if either else 1.0)
        dices.append(2 * both / (len(found) + len(real)) if either else 1.0)

    assert iou_per_class(matrix).tolist() == pytest.approx(ious)
    assert dice_per_class(matrix).tolist() == pytest.approx(dices)
    assert pixel_error(matrix).item() == pytest.approx(sum(p != t for p, t in pixels) / len(pixels))
