"""TorchScript weights give what the run gives at every size, or are not written at all."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from trained import random_run

from unet_repro.errors import RunError
from unet_repro.export import torchscript
from unet_repro.export.parity import TOLERANCE, own_probabilities, sample_images
from unet_repro.export.torchscript import export_torchscript
from unet_repro.runs.network import open_network


@pytest.mark.parametrize("norm", ["none", "instance"])
def test_torchscript_takes_raw_images_of_any_size_and_batch(norm, tmp_path):
    found = open_network(random_run(tmp_path / "run", f"model.norm={norm}"))
    assert export_torchscript(found, tmp_path / "model.pt") <= TOLERANCE
    with zipfile.ZipFile(tmp_path / "model.pt") as file:
        records = b"".join(map(file.read, file.namelist()))
    assert str(Path(torchscript.__file__).parents[1]).encode() not in records, "paths of the machine that exported"
    with pytest.warns(DeprecationWarning, match="torch.jit.load"):
        loaded = torch.jit.load(tmp_path / "model.pt")
    for size, number in (((1, 1), 1), ((61, 97), 3), ((40, 203), 1)):
        images = sample_images(found, size, number=number)
        with torch.inference_mode():
            given = loaded(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(given, own_probabilities(found, images), atol=TOLERANCE)


def test_a_graph_that_kept_one_size_is_refused(tmp_path, monkeypatch):
    class Fixed(torchscript.Deployed):
        def forward(self, image):
            return super().forward(image[..., : int(image.shape[2]), :]) * (image.shape[0] == 2)

    found = open_network(random_run(tmp_path / "run"))
    monkeypatch.setattr(torchscript, "Deployed", Fixed)
    with pytest.raises(RunError, match="differs from run"):
        export_torchscript(found, tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()
