"""The format of a prediction: the image's own, unless it cannot hold the result."""

from pathlib import Path

import pytest

from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.inference.result import Result
from unet_repro.prediction.jobs import PredictSettings, suffix_of


@pytest.mark.parametrize(
    ("kind", "dtype", "num_classes", "suffix"),
    [
        ("classes", "float32", 5, ".png"),
        ("probabilities", "uint8", 2, ".png"),
        ("probabilities", "uint16", 3, ".png"),
        ("probabilities", "uint8", 4, ".tif"),  # no PNG has four channels without transparency
        ("probabilities", "float32", 2, ".tif"),
        ("instances", "float32", 2, ".tif"),
    ],
)
def test_a_png_gets_a_png_if_that_holds_the_result(kind, dtype, num_classes, suffix):
    settings = PredictSettings(run=Path("runs/a"), input="in", output=Path("out"), kind=kind, dtype=dtype)
    result = Result(kind, dtype, InstanceSettings())
    assert suffix_of(settings, result, num_classes, Path("a.png")) == suffix
    assert suffix_of(settings, result, num_classes, Path("a.tif")) == ".tif"
