"""A BioImage.IO package passes its own test and takes images of any size; its author and licence are checked."""

import io
import os
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from trained import random_run

from unet_repro.errors import ConfigError, RunError
from unet_repro.export.bioimageio import _reasons, check_publisher, export_bioimageio
from unet_repro.export.cover import Example
from unet_repro.export.parity import TOLERANCE
from unet_repro.objects.crop import best_crop
from unet_repro.runs.network import open_network
from unet_repro.runs.package import run_of

pytest.importorskip("onnxscript")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # bioimageio.core loads it so
def test_a_package_of_three_classes_takes_any_size_with_both_kinds_of_weights(tmp_path, monkeypatch):
    found = open_network(random_run(tmp_path / "run", class_names=("background", "nucleus", "cell wall")))
    image = np.random.default_rng(0).standard_normal((1, 120, 130)).astype(np.float32)
    path = tmp_path / "model.zip"
    shown = Example(image, "isbi2012")
    assert export_bioimageio(found, path, author="Ada", licence="MIT", example=shown) <= TOLERANCE

    spec, core = pytest.importorskip("bioimageio.spec"), pytest.importorskip("bioimageio.core")
    monkeypatch.setitem(os.environ, "BIOIMAGEIO_PERFORM_IO_CHECKS", "0")
    with spec.ValidationContext(perform_io_checks=False):
        model = spec.load_description(path)
        assert model.authors[0].name == "Ada"
        assert list(model.outputs[0].axes[1].channel_names) == ["background", "nucleus", "cell_wall"]
        for weights in ("onnx", "torchscript"):
            pipeline = core.create_prediction_pipeline(model, weight_format=weights)
            for size in ((256, 256), (512, 512), (300, 421)):
                pixels = np.random.default_rng(1).integers(0, 256, size).astype(np.float32)
                sample = core.predict(model=pipeline, inputs={"image": pixels[None, None]})
                given = np.asarray(sample.members["probabilities"].data.data)[0]
                np.testing.assert_allclose(given, found.predict_proba(pixels), atol=TOLERANCE)
    with zipfile.ZipFile(path) as package:
        card = package.read("README.md").decode()
        with Image.open(io.BytesIO(package.read("cover.png"))) as cover:
            assert cover.size == (512, 256)
    inside = open_network(run_of(path))
    np.testing.assert_array_equal(inside.predict_proba(image[0]), found.predict_proba(image[0]))
    assert "Cardona" in card  # the credit of the picture's data
    assert "had not finished" in card


def test_a_cover_shows_at_most_half_of_an_image_where_both_classes_are():
    foreground = np.zeros((100, 60), bool)
    foreground[70:, 15:] = True
    rows, columns = best_crop(foreground, share=0.5)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (30, 30)
    assert foreground[rows, columns].mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("licence", "hint"),
    [("CC BY 4.0", "CC-BY-4.0"), ("mit", "MIT"), ("apache_2.0", "Apache-2.0"), ("nonsense zzz", "MIT or CC-BY-4.0")],
)
def test_a_licence_that_is_no_spdx_identifier_is_refused_with_the_likely_one(licence, hint):
    with pytest.raises(ConfigError, match="SPDX") as refused:
        check_publisher("Ada", licence)
    assert hint in refused.value.hint
    assert "\n" not in refused.value.what + refused.value.hint


@pytest.mark.parametrize("author", ["A/B", "A\\B", " ", ""])
def test_an_author_that_the_specification_forbids_is_refused(author):
    with pytest.raises(ConfigError, match="author"):
        check_publisher(author, "MIT")


def test_what_the_specification_rejects_is_an_error_in_one_line(tmp_path, monkeypatch):
    found = open_network(random_run(tmp_path / "run"))

    def reject(*_, **__):
        raise ValueError("2 validation errors for bioimage.io model specification\nname\n  too long")

    monkeypatch.setattr("unet_repro.export.bioimageio.export_onnx", lambda *_: 0.0)
    monkeypatch.setattr("unet_repro.export.bioimageio.export_torchscript", lambda *_: 0.0)
    monkeypatch.setattr("unet_repro.export.bioimageio._describe", reject)
    with pytest.raises(RunError, match="cannot be packaged: 2 validation errors .* name too long") as refused:
        export_bioimageio(found, tmp_path / "model.zip", author="Ada", licence="MIT")
    assert "\n" not in refused.value.what
    assert not (tmp_path / "model.zip").exists()


def test_a_failed_test_of_a_package_is_told_in_one_line():
    detail = SimpleNamespace(errors=[SimpleNamespace(msg="output differs\n by 3")])
    assert _reasons(SimpleNamespace(status="failed", details=[detail, detail])) == "output differs by 3"
