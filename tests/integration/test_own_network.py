"""A network of one's own trains, predicts and exports through the command line; an unsuitable one is refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from own_network import Declared, SamePadded
from tiny import NETWORK, STACK, unet_repro

from unet_repro import UNet, load
from unet_repro.geometry import geometry_of
from unet_repro.inference.overlap_tile import plan_tiles, predict
from unet_repro.tile_geometry import TileGeometry

HERE = {"PYTHONPATH": str(Path(__file__).parent)}
SETTINGS = [*STACK, *(each for each in NETWORK if not each.startswith("model.depth")), "split=contiguous"]
OTHERS = ["~model.depth", "~model.dropout", "~model.norm"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "geometry"),
    [("SamePadded", TileGeometry(64, 2, 0)), ("Declared", TileGeometry(20, 2, 6))],
)
def test_a_network_of_ones_own_trains_predicts_and_exports(name, geometry, tmp_path):
    trained = unet_repro("train", *SETTINGS, f"model._target_=own_network.{name}", *OTHERS, cwd=tmp_path, **HERE)
    assert trained.returncode == 0, trained.stderr
    (run,) = (tmp_path / "runs").iterdir()

    image = np.random.default_rng(0).integers(0, 256, (90, 131)).astype(np.uint8)
    np.save(tmp_path / "image.npy", image)
    arguments = [f"run={run}", "input=image.npy", "output=out.npy", "kind=probabilities"]
    predicted = unet_repro("predict", *arguments, cwd=tmp_path, **HERE)
    assert predicted.returncode == 0, predicted.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE["PYTHONPATH"])
        network = load(str(run))
    assert network.geometry == geometry
    np.testing.assert_allclose(np.load(tmp_path / "out.npy").squeeze(), network.predict_proba(image)[1], atol=1e-5)

    for output in ("model.onnx", "model.zip"):
        exported = unet_repro("export", f"run={run}", f"output={output}", cwd=tmp_path, **HERE)
        assert exported.returncode == 0, exported.stderr
        assert (tmp_path / output).exists()
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(1).integers(0, 256, (101, 137)).astype(np.float32)
    (found,) = session.run(None, {"image": pixels[None, None]})
    np.testing.assert_allclose(found[0], network.predict_proba(pixels), atol=1e-5)
    with zipfile.ZipFile(tmp_path / "model.zip") as package:
        assert {"weights.onnx", "weights.pt", "cover.png"} <= set(package.namelist())
        assert "| iou |" in package.read("README.md").decode()


def test_cropping_makes_tiles_seamless_and_padding_does_not():
    torch.manual_seed(0)
    image = np.random.default_rng(0).standard_normal((1, 120, 130)).astype(np.float32)
    differences = []
    for kind, geometry in ((Declared, Declared.tile_geometry), (SamePadded, TileGeometry(64, 2))):
        net = kind(in_channels=1, num_classes=2)
        whole, tiled = (
            predict(net, image, plan_tiles((120, 130), geometry, max_tile_pixels=most)) for most in (10**6, 5000)
        )
        differences.append(float((whole - tiled).abs().max()))
    assert differences[0] < 1e-6
    assert differences[1] > 1e-3


@pytest.mark.slow
def test_a_network_whose_tiles_are_unknown_is_refused_with_what_to_declare(tmp_path):
    found = unet_repro("train", *SETTINGS, "model._target_=own_network.Shrinking", *OTHERS, cwd=tmp_path, **HERE)
    assert found.returncode == 2
    assert "constant halo" in found.stderr
    assert "tile_geometry" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_settings_of_the_u_net_that_the_network_lacks_are_named(tmp_path):
    found = unet_repro("train", *SETTINGS, "model._target_=own_network.SamePadded", cwd=tmp_path, **HERE)
    assert found.returncode == 2
    assert "~model.depth" in found.stderr


def test_the_u_net_itself_declares_its_geometry():
    assert UNet(width=2, depth=3).tile_geometry == geometry_of(3)
