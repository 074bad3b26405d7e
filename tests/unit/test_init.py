"""The public interface: quick to import, complete, typed, and callable whatever was imported before."""

import os
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest

import unet_repro


def in_a_fresh_process(code):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, unet_repro; print([m for m in ('torch', 'numpy', 'cv2', 'hydra', 'scipy') if m in sys.modules])"
    assert in_a_fresh_process(code) == "[]"


def test_threads_are_set_up_before_torch_is_imported():
    code = "import os; os.environ.pop('GOMP_SPINCOUNT', None); os.environ.pop('OMP_WAIT_POLICY', None); "
    code += "import unet_repro; print(os.environ['GOMP_SPINCOUNT'])"
    assert in_a_fresh_process(code) == "2000"


@pytest.mark.parametrize("name", unet_repro.__all__)
def test_every_public_name_exists_and_has_a_docstring(name):
    assert getattr(unet_repro, name).__doc__
    assert name in dir(unet_repro)


def test_the_lists_of_public_names_agree():
    assert set(unet_repro.__all__) == set(unet_repro._PUBLIC)
    source = (files("unet_repro") / "__init__.py").read_text()
    typed = {line.split(" as ")[1] for line in source.splitlines() if line.startswith("    from unet_repro.")}
    assert typed == set(unet_repro.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'unett'"):
        _ = unet_repro.unett


def test_the_package_is_marked_as_typed():
    assert (files("unet_repro") / "py.typed").is_file()


IMPORTS = (
    "",
    "import unet_repro.predict, unet_repro.train",
    "from unet_repro.predict import PredictSettings",
    "from unet_repro import predict, train",
)


def test_train_and_predict_are_callable_whatever_was_imported_before():
    """Each case is a fork of one process that has the libraries, but not this package."""
    code = f"""
import os, sys
import lightning.pytorch, numpy as np, torch, torchmetrics
assert "unet_repro" not in sys.modules
for before in {IMPORTS!r}:
    if (pid := os.fork()) == 0:
        break
    assert os.waitpid(pid, 0)[1] == 0, before
else:
    print("all")
    sys.exit()
exec(before)
import unet_repro
assert callable(unet_repro.train)
scores = unet_repro.predict(unet_repro.UNet(1, 2, width=2, depth=1), np.zeros((20, 30)))
import unet_repro.predict as module
from unet_repro.train import train as pipeline
assert callable(unet_repro.predict) and module.PredictSettings and pipeline.__name__ == "train"
assert scores.shape == (2, 20, 30)
"""
    assert in_a_fresh_process(code) == "all"


def test_the_one_line_calls_work():
    labels = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    assert unet_repro.UNet(1, 2).tile_geometry.halo_px == unet_repro.halo() == 92
    assert unet_repro.weight_maps.paper(labels).shape == labels.shape
    assert unet_repro.elastic_deformation(labels).shape == labels.shape
    assert unet_repro.rand_scores(labels, labels).v_rand == 1.0
    assert unet_repro.plan_tiles((512, 512)).tile_hw == (700, 700)


def test_samples_are_those_of_the_settings(capsys):
    found = unet_repro.samples("data=synthetic", "data.num_slices=1", "data.size_px=96")
    assert [one.key for one in found] == ["train/00", "test/00"], "one image, which no split is asked of"
    assert found[0].image.shape == found[0].labels.shape == (96, 96)
    assert capsys.readouterr().err == "data: synthetic images, generated from a seed\n"
    with pytest.raises(unet_repro.UserError, match="num_slice"):
        unet_repro.samples("data=synthetic", "data.num_slice=1")
