"""An exported network gives what the run gives at every size, or is not written at all."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from trained import GREY, random_run

from unet_repro.data.normalise import Normalisation
from unet_repro.errors import ConfigError, RunError
from unet_repro.export import onnx as onnx_export
from unet_repro.export.bioimageio import export_bioimageio
from unet_repro.export.graph import Deployed
from unet_repro.export.onnx import export_onnx, runner
from unet_repro.export.parity import TOLERANCE, check_parity, sample_images
from unet_repro.geometry import halo
from unet_repro.inference.overlap_tile import plan_tiles, predict
from unet_repro.runs.network import open_network

pytest.importorskip("onnxscript")


def network(tmp_path, *overrides, normalisation=GREY):
    return open_network(random_run(tmp_path / "run", *overrides, normalisation=normalisation))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("norm", ["none", "batch", "group"])
def test_what_is_deployed_is_the_network_with_its_normalisation(depth, norm, tmp_path):
    found = network(tmp_path, f"model.depth={depth}", f"model.norm={norm}")
    deployed = Deployed(found).eval()

    def run(images):
        with torch.inference_mode():
            return deployed(torch.from_numpy(images)).numpy()

    assert check_parity(found, run) <= 1e-6


@pytest.mark.slow
def test_an_onnx_file_takes_raw_images_of_any_size(tmp_path):
    found = network(tmp_path, normalisation=Normalisation((100.0, 90.0, 80.0), (30.0, 40.0, 50.0)))
    assert export_onnx(found, tmp_path / "model.onnx") <= TOLERANCE
    run = runner((tmp_path / "model.onnx").read_bytes())
    for size in ((1, 1), (3, 44), (61, 97), (204, 53)):
        images = sample_images(found, size, number=2)
        expected = np.stack([found.predict_proba(image) for image in images])
        np.testing.assert_allclose(run(images), expected, atol=TOLERANCE)
    import onnx

    told = {entry.key: json.loads(entry.value) for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert (told["halo_px"], told["step_px"]) == (halo(2), 4)
    assert told["class_names"] == ["background", "cell"]
    assert b".py" not in (tmp_path / "model.onnx").read_bytes(), "stack traces have paths of the machine that exported"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "bioimageio"])
def test_an_export_that_differs_is_refused_and_leaves_nothing(kind, tmp_path, monkeypatch):
    found = network(tmp_path)
    describe = onnx_export.describe

    def tampered(network):
        with torch.no_grad():
            network.net.head.bias[0] += 0.1  # between the export and the check
        return describe(network)

    monkeypatch.setattr(onnx_export, "describe", tampered)
    write = export_onnx if kind == "onnx" else partial(export_bioimageio, author="me", licence="MIT")
    with pytest.raises(RunError, match="differs from run"):
        write(found, tmp_path / "out" / "model")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    def gone(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(onnx_export, "import_module", gone)
    with pytest.raises(ConfigError, match=r"pip install .*onnxruntime"):
        onnx_export.needed("onnxruntime")


@pytest.mark.slow
def test_the_snippet_of_the_documentation_gives_the_runs_own_classes(tmp_path, monkeypatch):
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "export.md").read_text()
    snippet = text.split("```python\n")[1].split("```")[0]
    found = network(tmp_path)
    export_onnx(found, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    names: dict[str, np.ndarray] = {}
    exec(compile(snippet, "docs/how-to/export.md", "exec"), names)
    image = found.normalisation.apply(names["image"])
    scores = predict(found.net, image, plan_tiles((300, 421), 2), device=torch.device("cpu"))
    assert (names["classes"] == scores.argmax(0).numpy()).mean() > 0.9999
