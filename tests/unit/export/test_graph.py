"""The exported graph pads as the run does, whatever the size."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trained import random_run

from unet_repro.data.tiles import mirror_indices
from unet_repro.export.graph import Deployed, covering_indices
from unet_repro.export.parity import TOLERANCE, sample_images
from unet_repro.geometry import geometry_of
from unet_repro.runs.network import open_network
from unet_repro.tile_geometry import TileGeometry

GEOMETRIES = [geometry_of(1), geometry_of(4), TileGeometry(64, 2, 0), TileGeometry(20, 2, 6), TileGeometry(5, 1, 2)]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@given(size=st.integers(1, 700))
def test_a_line_of_any_size_is_mirrored_to_its_covering_tile(geometry, size):
    expected = mirror_indices(-geometry.halo_px, geometry.covering(size), size)
    np.testing.assert_array_equal(covering_indices(size, geometry).numpy(), expected)


def test_a_tile_gives_the_complete_images_result_inside_the_documented_margin(tmp_path):
    found = open_network(random_run(tmp_path / "run", "model.depth=4"))
    deployed = Deployed(found).eval()
    image = torch.from_numpy(sample_images(found, (400, 300), number=1))
    with torch.inference_mode():
        whole, tile = deployed(image), deployed(image[:, :, 80:320])
    torch.testing.assert_close(tile[:, :, 96:144], whole[:, :, 176:224], atol=TOLERANCE, rtol=0)
    assert (tile - whole[:, :, 80:320]).abs().max() > 1e-3
