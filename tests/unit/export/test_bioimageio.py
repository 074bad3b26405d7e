"""A BioImage.IO package passes its own test and describes the network's tiles."""

import pytest
from trained import random_run

from unet_repro.export.bioimageio import export_bioimageio
from unet_repro.export.onnx import TOLERANCE
from unet_repro.geometry import halo, smallest
from unet_repro.runs.network import open_network

pytest.importorskip("onnxscript")


@pytest.mark.slow
def test_a_bioimageio_package_passes_its_test_and_carries_the_halo(tmp_path):
    found = open_network(random_run(tmp_path / "run"))
    assert export_bioimageio(found, tmp_path / "model.zip", author="Ada", licence="MIT") <= TOLERANCE
    spec = pytest.importorskip("bioimageio.spec")
    with spec.ValidationContext(perform_io_checks=False):
        model = spec.load_description(tmp_path / "model.zip")
    rows = model.inputs[0].axes[2]
    assert (rows.size.min, rows.size.step) == (smallest(2), 4)
    assert model.outputs[0].axes[2].size.offset == -2 * halo(2)
    assert model.authors[0].name == "Ada"
