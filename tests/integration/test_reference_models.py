"""A package is used like a run: it predicts, with the settings of its objects, and starts a training."""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from tiny import tiny, unet_repro
from trained import random_run

from unet_repro.config import check
from unet_repro.errors import ConfigError, RunError
from unet_repro.export.card import card
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.predict import predict
from unet_repro.prediction.jobs import PredictSettings
from unet_repro.runs import package as package_module
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.identity import numbers_of
from unet_repro.runs.network import open_network
from unet_repro.runs.object_settings import read_choice, write_choice
from unet_repro.runs.package import NAME, NEEDED, load, pack, run_of, shipped
from unet_repro.train import train

CHOSEN = InstanceSettings(0.3, "seeds", 5, seed_threshold=0.4)


def packed(run, path):
    """The files of a run as a package, without the weights for other programs."""
    folder = path.with_suffix(".files")
    folder.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for file in pack(open_network(run), "best", folder):
            archive.write(file, file.name)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = random_run(tmp_path_factory.mktemp("runs") / "abc", "target=distance", "data.scale=0.5", num_outputs=3)
    write_choice(RunFolder(path), "best", CHOSEN, 4)
    return path


@pytest.fixture
def package(run, tmp_path):
    return packed(run, tmp_path / "model.zip")


def image(path, seed=0):
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (90, 131)).astype(np.float32), (0, 0), 3)
    cv2.imwrite(str(path), np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8))
    return str(path)


def test_a_package_predicts_what_its_run_predicts_and_knows_no_path_of_this_machine(run, package, tmp_path):
    source = image(tmp_path / "a.png")
    ways = {"run": {"run": run}, "model": {"run": None, "network": str(package)}}
    for name, way in ways.items():
        outcome = predict(PredictSettings(**way, input=source, output=tmp_path / f"{name}.npy", objects=False))
        assert any("seed_threshold=0.4" in note for note in outcome.notes)
    assert (tmp_path / "run.npy").read_bytes() == (tmp_path / "model.npy").read_bytes()
    assert run_of(package) == run_of(package)
    assert run_of(package).name == "abc"
    settings = yaml.safe_load((run_of(package) / "config.yaml").read_text())
    assert settings["data"]["root"] == "."
    assert str(tmp_path) not in json.dumps(settings)
    assert read_choice(RunFolder(run_of(package)), "best") == CHOSEN
    pixels = cv2.imread(source, cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(load(package).predict_proba(pixels), load(run).predict_proba(pixels))


@pytest.mark.parametrize(("way", "name"), [("run", "abc"), ("network", "model.zip")])
def test_a_page_of_objects_is_titled_with_what_the_user_named(way, name, run, package, tmp_path):
    given = {"run": run} if way == "run" else {"run": None, "network": str(package)}
    predict(PredictSettings(**given, input=image(tmp_path / "a.png"), output=tmp_path / "a.tif", kind="instances"))
    assert f"<title>Objects found by {name}</title>" in (tmp_path / "a.html").read_text()


def test_a_network_of_this_program_is_found_by_its_name_and_checked(package, tmp_path, monkeypatch):
    folder = tmp_path / "reference"
    folder.mkdir()
    shutil.copy(package, folder / "tiny-cells.zip")
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  tiny-cells.zip\n")
    known = shipped(folder)
    monkeypatch.setattr(package_module, "shipped", lambda: known)
    assert run_of("tiny-cells").name == "abc"
    with pytest.raises(ConfigError, match="neither") as refused:
        run_of("tiny-cell")
    assert "tiny-cells" in refused.value.hint
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  tiny-cells.zip\n")
    changed = shipped(folder)
    monkeypatch.setattr(package_module, "shipped", lambda: changed)
    with pytest.raises(RunError, match="tiny-cells of this installation is damaged"):
        run_of("tiny-cells")


def test_every_network_of_this_installation_has_its_hash():
    for name, one in shipped().items():
        assert hashlib.sha256(one.file.read_bytes()).hexdigest() == one.sha256, name


@pytest.mark.skipif("UNET_REPRO_DATA" not in os.environ, reason="needs the public data in UNET_REPRO_DATA")
@pytest.mark.parametrize(
    ("name", "image", "label", "judged"),
    [
        ("em-membranes", "isbi2012/train/image/29.png", "isbi2012/train/label/29.png", 0),
        ("hela-dic", "DIC-C2DH-HeLa/02/t042.tif", "DIC-C2DH-HeLa/02_GT/SEG/man_seg042.tif", 1),
        ("u373-phc", "PhC-C2DH-U373/02/t049.tif", "PhC-C2DH-U373/02_GT/SEG/man_seg049.tif", 1),
    ],
)
def test_an_included_network_segments_an_image_of_the_data_that_it_was_trained_on(name, image, label, judged, tmp_path):
    data = Path(os.environ["UNET_REPRO_DATA"])
    done = unet_repro("predict", f"model={name}", "kind=classes", f"input={data / image}", "output=a.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "a.npy").squeeze() == judged
    truth = (cv2.imread(str(data / label), cv2.IMREAD_UNCHANGED) > 0) == judged
    assert (found & truth).sum() / (found | truth).sum() >= 0.6


@pytest.mark.parametrize("left_out", [*NEEDED, NAME])
def test_a_package_of_another_program_is_refused(left_out, package, tmp_path):
    with zipfile.ZipFile(package) as whole, zipfile.ZipFile(tmp_path / "part.zip", "w") as part:
        for name in whole.namelist():
            if name != left_out:
                part.writestr(name, whole.read(name))
    with pytest.raises(RunError, match=f"has no {left_out}: it was not exported by this version"):
        run_of(tmp_path / "part.zip")


def test_damaged_and_missing_packages_are_refused(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    with pytest.raises(RunError, match="is damaged or no package"):
        run_of(tmp_path / "bad.zip")
    with pytest.raises(RunError, match="there is no package"):
        run_of(tmp_path / "gone.zip")


@pytest.mark.parametrize("given", [{"run": None}, {"run": Path("runs/abc"), "network": "em-membranes"}])
def test_exactly_one_of_run_and_model_is_named(given, tmp_path):
    with pytest.raises(ConfigError, match="exactly one of run and model"):
        predict(PredictSettings(**given, input="a.png", output=tmp_path / "a.npy"))


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    runs = tmp_path_factory.mktemp("parents")
    return runs / train(tiny(runs))["run_id"]


def test_a_training_starts_from_the_weights_of_a_run_or_its_package(parent, tmp_path):
    package = packed(parent, tmp_path / "parent.zip")
    short = ["trainer.max_steps=2", "optimizer.lr=1e-12", f"init={parent}"]
    config = tiny(tmp_path / "runs", *short)
    result = train(config)
    started = open_network(tmp_path / "runs" / result["run_id"], "last")
    for name, weights in open_network(parent).net.state_dict().items():
        np.testing.assert_allclose(started.net.state_dict()[name], weights, atol=1e-6)
    of_package = check(tiny(tmp_path, *short[:-1], f"init={package}"))
    assert numbers_of(of_package) == numbers_of(check(config)), "identified by the weights, not by their place"
    plain = numbers_of(check(tiny(tmp_path, *short[:-1])))
    assert "init" not in plain
    assert numbers_of(of_package) == {**plain, "init": numbers_of(of_package)["init"]}


def test_weights_of_another_network_are_refused(parent, tmp_path):
    with pytest.raises(ConfigError, match=r"init=.* does not fit this network: .*\.bias is \(2,\) there, \(4,\) here"):
        train(tiny(tmp_path / "runs", "model.width=4", f"init={parent}"))


def test_a_package_is_exported_and_names_its_data(package, tmp_path):
    done = unet_repro("export", f"model={package.name}", "output=a.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.onnx").exists()
    assert load(package).data_name == load(load(package).folder.path).data_name == "unknown", "a run without a result"
    refused = unet_repro("export", "output=b.onnx", cwd=tmp_path)
    assert refused.returncode == 2
    assert "exactly one of run and model is required" in refused.stderr


def test_a_package_knows_what_its_training_images_look_like(parent, tmp_path):
    found, trained = load(packed(parent, tmp_path / "parent.zip")), load(parent)
    assert trained.appearance is not None
    assert found.appearance == trained.appearance
    assert found.data_name == trained.data_name == "synthetic"
    assert "There are no scores: a package has them in its own card." in card(found, "best", cover_of=None)
    assert "Scores on the run's validation images" in card(trained, "best", cover_of=None)


def test_a_package_predicts_through_the_command_line(package, tmp_path):
    image(tmp_path / "a.png")
    predicted = unet_repro("predict", f"model={package.name}", "input=a.png", "output=out/a.tif", cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "out" / "a.objects.csv").exists()
