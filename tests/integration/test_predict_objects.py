"""`unet-repro predict kind=instances`: settings of the evaluation, tables, QuPath, Fiji, pictures, the page."""

import csv
import json
import zipfile
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tifffile
import torch
import zarr
from skimage.measure import regionprops_table
from tiny import tiny
from trained import GREY, random_run

from unet_repro.data.drawn.read import read_drawn_labels
from unet_repro.errors import ConfigError, DataError, RunError
from unet_repro.inference.instance_settings import InstanceOverrides, InstanceSettings
from unet_repro.inference.journal import Journal
from unet_repro.inference.result import Result
from unet_repro.objects import planes
from unet_repro.predict import predict
from unet_repro.prediction.jobs import PredictSettings, _signature
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.network import describe_network, open_network
from unet_repro.runs.object_settings import read_choice, write_choice
from unet_repro.train import train


@pytest.fixture
def run(tmp_path):
    """A run trained on numbered objects."""
    path = random_run(tmp_path / "abc")
    describe_network(RunFolder(path), GREY, ("background", "cell"), numbers_objects=True)
    return path


def grey(*shape, seed=0):
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32), (0, 0), 3)
    return np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8)


def settings(run, image, output, **options):
    return PredictSettings(run=run, input=str(image), output=output, device="cpu", **options)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


def test_every_file_agrees_with_the_labels(run, tmp_path, monkeypatch):
    monkeypatch.setattr(planes, "BAND_PIXELS", 3000)
    image = grey(150, 130)
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", image, metadata=metadata)
    probability = open_network(run).predict_proba(image)[1]
    half = InstanceOverrides(threshold=float(np.median(probability)))  # of the pixels
    outcome = predict(settings(run, tmp_path / "a.ome.tif", tmp_path / "out", instances=half))
    assert not outcome.failures
    assert any("kind=instances" in note for note in outcome.notes)
    assert any("not chosen on validation images" in note for note in outcome.notes)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *("a.ome.tif", "a.objects.csv", "a.geojson", "a.rois.zip", "a.outlines.png", "index.html", "objects.csv"),
    }
    labels = tifffile.imread(tmp_path / "out" / "a.ome.tif")
    rows = rows_of(tmp_path / "out" / "a.objects.csv")
    assert rows == rows_of(tmp_path / "out" / "objects.csv")
    assert labels.max() > 10
    expected = regionprops_table(
        labels, image, properties=("label", "area", "perimeter", "intensity_mean", "centroid", "bbox")
    )
    for name, there in (
        ("id", "label"), ("area_px", "area"), ("perimeter_px", "perimeter"), ("mean_intensity", "intensity_mean"),
        ("centroid_y_px", "centroid-0"), ("centroid_x_px", "centroid-1"), ("top_px", "bbox-0"), ("right_px", "bbox-3"),
    ):  # fmt: skip
        np.testing.assert_allclose(column(rows, name), expected[there], atol=6e-5)
    np.testing.assert_allclose(column(rows, "area_um2"), expected["area"] / 4, atol=6e-5)
    np.testing.assert_allclose(column(rows, "perimeter_um"), expected["perimeter"] / 2, atol=6e-5)
    means = [probability[labels == number].mean() for number in expected["label"]]
    np.testing.assert_allclose(column(rows, "mean_probability"), means, atol=0.004)
    for suffix in (".geojson", ".rois.zip"):
        (found,), _ = read_drawn_labels(tmp_path / "out" / f"a{suffix}", "a.tif", labels.shape, 1)
        np.testing.assert_array_equal(found > 0, labels > 0)
        assert found.max() == labels.max()
    features = json.loads((tmp_path / "out" / "a.geojson").read_text())["features"]
    areas = {int(each["properties"]["name"]): each["properties"]["measurements"]["Area px"] for each in features}
    assert areas == dict(zip(expected["label"].tolist(), expected["area"].astype(int).tolist(), strict=True))
    picture = cv2.imread(str(tmp_path / "out" / "a.outlines.png"))
    assert picture.shape == (150, 130, 3)
    assert (picture == (66, 228, 240)).all(-1).sum() > 100
    page = (tmp_path / "out" / "index.html").read_text()
    assert f"<strong>{labels.max()}</strong> objects" in page
    assert "data:image/jpeg;base64," in page
    assert "http" not in page


def test_the_settings_that_evaluation_chose_are_used_and_given_ones_win(run, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), grey(150, 130))
    half = float(np.median(open_network(run).predict_proba(grey(150, 130))[1]))
    chosen = InstanceSettings(threshold=half, method="watershed", min_size_px=50, seed_distance_px=10)
    write_choice(RunFolder(run), "best", chosen, 4)
    write_choice(RunFolder(run), "last", InstanceSettings(0.9), 4)
    outcome = predict(settings(run, tmp_path / "a.png", tmp_path / "a.npy", objects=False))
    assert any("min_size_px=50" in note and "chosen on validation images" in note for note in outcome.notes)
    assert np.unique(np.load(tmp_path / "a.npy"), return_counts=True)[1][1:].min() >= 50
    with_size = settings(
        run, tmp_path / "a.png", tmp_path / "b.npy", objects=False, instances=InstanceOverrides(min_size_px=0)
    )
    assert any("except for those given" in note for note in predict(with_size).notes)
    assert np.unique(np.load(tmp_path / "b.npy"), return_counts=True)[1][1:].min() < 50
    RunFolder(run).objects.write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        predict(settings(run, tmp_path / "a.png", tmp_path / "c.npy"))


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"objects": False}, set()),
        ({"objects": []}, set()),
        ({"objects": ["table"]}, {"a.objects.csv", "index.html", "objects.csv"}),
        ({"objects": ["rois"], "page": False}, {"a.rois.zip"}),
        ({"objects": ["table"], "page": False}, {"a.objects.csv", "objects.csv"}),
        ({"kind": "classes"}, set()),
    ],
)
def test_files_can_be_switched_off(run, tmp_path, options, written):
    tifffile.imwrite(tmp_path / "a.tif", grey(60, 50))
    assert not predict(settings(run, tmp_path / "a.tif", tmp_path / "out", **options)).failures
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.tif", *written}


def test_a_table_of_somebody_else_is_not_replaced(run, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", grey(60, 50))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/objects.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"objects\.csv already exists"):
        predict(settings(run, tmp_path / "a.tif", tmp_path / "out"))
    assert (tmp_path / "out/objects.csv").read_text() == "mine"
    assert not predict(settings(run, tmp_path / "a.tif", tmp_path / "out", overwrite=True)).failures


def test_the_page_of_another_batch_is_not_replaced(run, tmp_path):
    for number in range(2):
        tifffile.imwrite(tmp_path / f"{number}.tif", grey(60, 50, seed=number))
    assert not predict(settings(run, tmp_path / "0.tif", tmp_path / "out")).failures
    before = (tmp_path / "out/objects.csv").read_bytes()
    with pytest.raises(ConfigError, match=r"index\.html already exists, with other images"):
        predict(settings(run, tmp_path / "1.tif", tmp_path / "out"))
    assert (tmp_path / "out/objects.csv").read_bytes() == before
    assert not (tmp_path / "out/1.tif").exists()


def test_another_memory_limit_and_a_rewritten_zarr_are_another_prediction(run, tmp_path):
    network = open_network(run)
    predictor = SimpleNamespace(result=Result("classes", "float32", InstanceSettings()), device=torch.device("cpu"))
    array = zarr.create_array(tmp_path / "a.zarr", data=grey(60, 50), chunks=(30, 50))

    def signature(**options):
        return _signature(tmp_path / "a.zarr", network, settings(run, "", tmp_path / "out", **options), predictor)

    before = signature()
    assert signature() == before
    assert signature(memory_gb=0.1) != before
    array[:30] = 7
    assert signature() != before


def test_a_prediction_killed_after_its_output_has_its_name_is_finished(run, tmp_path, monkeypatch):
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, grey(60, 50))
    honest = Journal.write

    def killed(self, position):
        if position.done:
            raise KeyboardInterrupt
        honest(self, position)

    monkeypatch.setattr(Journal, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        predict(settings(run, image, tmp_path / "out"))
    monkeypatch.undo()
    labels = (tmp_path / "out/a.tif").read_bytes()
    outcome = predict(settings(run, image, tmp_path / "out"))
    assert (outcome.failures, outcome.written) == ([], [tmp_path / "out/a.tif"])
    assert (tmp_path / "out/a.tif").read_bytes() == labels
    assert (tmp_path / "out/index.html").exists()
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_a_batch_has_one_page_and_one_table_also_after_a_failure(run, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(3):
        tifffile.imwrite(folder / f"{number}.tif", grey(60, 50, seed=number))
    tifffile.imwrite(folder / "strange.tif", grey(60, 50).astype(np.float32) / 255)
    tifffile.imwrite(folder / "constant.tif", np.full((40, 40), 7, np.uint8))
    assert len(predict(settings(run, folder, out)).failures) == 1
    page = (out / "index.html").read_text()
    assert page.count("<article") == 4
    assert page.count("class=unlike") == 1
    tifffile.imwrite(folder / "constant.tif", grey(40, 40))
    before = (out / "0.objects.csv").stat().st_mtime_ns
    assert not predict(settings(run, folder, out)).failures
    assert (out / "0.objects.csv").stat().st_mtime_ns == before
    page = (out / "index.html").read_text()
    assert page.count("<article") == 5
    assert page.count("class=unlike") == 1
    rows = rows_of(out / "objects.csv")
    assert {row["image"] for row in rows} == {"0.tif", "1.tif", "2.tif", "strange.tif", "constant.tif"}
    assert len(rows) == sum(len(rows_of(path)) for path in out.glob("*.objects.csv"))
    assert f"<p>{len(rows)} objects in 5 images" in page


def test_a_prediction_that_stops_while_objects_are_written_ends_with_the_same_bytes(run, tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([grey(90, 70, seed=seed) for seed in range(2)]))
    assert not predict(settings(run, tmp_path / "a.tif", tmp_path / "whole.tif")).failures
    write = Journal.write

    def stop(journal, position):
        if position.done or position.numbered == 2:
            write(journal, position)
            raise DataError("stopped", hint="")
        write(journal, position)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", stop)
        assert predict(settings(run, tmp_path / "a.tif", tmp_path / "o.tif")).failures
    assert not (tmp_path / "o.objects.csv").exists()
    assert not predict(settings(run, tmp_path / "a.tif", tmp_path / "o.tif")).failures
    for suffix in (".tif", ".objects.csv", ".geojson", ".rois.zip", ".outlines.png"):
        assert (tmp_path / f"o{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    with zipfile.ZipFile(tmp_path / "o.rois.zip") as file:
        assert {name[:4] for name in file.namelist()} == {"0001", "0002"}


@pytest.mark.parametrize("name", ["index.html", "a.geojson"])
def test_files_of_others_are_not_replaced(run, tmp_path, name):
    tifffile.imwrite(tmp_path / "a.tif", grey(60, 50))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    if name == "index.html":
        with pytest.raises(ConfigError, match="not a page of this program"):
            predict(settings(run, tmp_path / "a.tif", tmp_path / "out"))
    else:
        assert "already exists" in predict(settings(run, tmp_path / "a.tif", tmp_path / "out")).failures[0]
    assert (tmp_path / "out" / name).read_text() == "mine"


def test_an_image_without_objects_has_all_files(run, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", grey(60, 50))
    none = InstanceOverrides(min_size_px=10_000)
    assert not predict(settings(run, tmp_path / "a.tif", tmp_path / "out", instances=none)).failures
    assert rows_of(tmp_path / "out" / "a.objects.csv") == []
    assert json.loads((tmp_path / "out" / "a.geojson").read_text())["features"] == []
    assert "<strong>0</strong> objects" in (tmp_path / "out" / "index.html").read_text()


def test_training_on_numbered_objects_is_remembered_and_evaluation_chooses_for_the_weights_that_predict(
    tmp_path, monkeypatch
):
    from unet_repro.cli import main

    data = tmp_path / "mine"
    for part in ("images", "labels"):
        (data / part).mkdir(parents=True)
    for number in range(4):
        labels = np.zeros((120, 120), np.int32)
        for index, (y, x) in enumerate(((20, 20), (20, 41), (80, 30), (70, 90))):
            labels[y - 10 : y + 10, x - 10 : x + 11] = 10 * index + number + 1
        noise = np.random.default_rng(number).normal(0, 10, labels.shape)
        tifffile.imwrite(data / "images" / f"{number}.tif", (100 + 80 * (labels > 0) + noise).astype(np.uint8))
        tifffile.imwrite(data / "labels" / f"{number}.tif", labels)
    own = ["data=folder", f"data.root={data}", "data.labels=instances", "split=random", "split.val_share=0.5"]
    result = train(tiny(tmp_path / "runs", *own, data=()))
    run = tmp_path / "runs" / result["run_id"]
    assert open_network(run).numbers_objects
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["unet-repro"])
    main(["evaluate", f"run={run}", "warping=false"])
    assert (run / "measures-val-best.json").exists()
    chosen = read_choice(RunFolder(run), "best")
    assert chosen is not None
    assert read_choice(RunFolder(run), "last") is None
    outcome = predict(settings(run, data / "images", tmp_path / "out"))
    assert any(f"min_size_px={chosen.min_size_px}" in note for note in outcome.notes)
