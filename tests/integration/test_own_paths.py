"""Own images wherever they are: paths as labs name them, runs evaluated from other folders, data that have moved."""

import re
import subprocess

import numpy as np
import pytest
import tifffile
from tiny import NETWORK, unet_repro
from trained import random_run

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.data.normalise import Normalisation
from unet_repro.errors import DataError
from unet_repro.evaluation.trained_run import open_trained
from unet_repro.predict import predict
from unet_repro.prediction.jobs import PredictSettings
from unet_repro.train import train
from unet_repro.training.build import run_folder

NAMES = ["T=37,0", "scan (1)", "Anna's", "#3", "[a] {b}", "a b, c", 'the "old" one', "Zellen ü"]


def images(root, num=5):
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
    for number in range(num):
        labels = np.zeros((96, 96), np.uint8)
        labels[10:40, 10:80], labels[50:90, 20:60] = 255, 255
        tifffile.imwrite(root / f"labels/{number}_mask.tif", labels)
        noisy = np.clip(labels * 0.4 + rng.normal(60, 20, labels.shape), 0, 255).astype(np.uint8)
        tifffile.imwrite(root / f"images/{number}.ome.tif", np.stack([noisy, noisy // 2]), metadata={"axes": "CYX"})
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project folder with a run that was trained there, on a relative folder with a difficult name."""
    project = tmp_path_factory.mktemp("project") / "A"
    images(project / "T=37,0 (1)/Anna's")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        root = "data.root=T=37,0 (1)/Anna's"
        config = compose("train", ["data=folder", root, "data.channels=[1]", *NETWORK, "runs_dir=runs"])
        train(config)
        return project, project / run_folder(check(config)).path


def test_a_run_is_evaluated_from_any_folder(trained, tmp_path, monkeypatch):
    _, run = trained
    monkeypatch.chdir(tmp_path)
    assert open_trained(run, "best").images("val")
    monkeypatch.chdir(run.parent)
    assert open_trained(run.relative_to(run.parent), "best").images("val")


def test_a_run_is_evaluated_after_its_data_have_moved(trained, tmp_path, monkeypatch):
    project, run = trained
    monkeypatch.chdir(tmp_path)
    (project / "T=37,0 (1)").rename(tmp_path / "#moved")
    try:
        with pytest.raises(DataError, match="are not in T=37,0") as caught:
            open_trained(run, "best")
        assert "data.root=" in caught.value.hint
        arguments = [f"run={run}", "data.root=#moved/Anna's", "warping=false", f"output={tmp_path}/out"]
        done = unet_repro("evaluate", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    finally:
        (tmp_path / "#moved").rename(project / "T=37,0 (1)")


@pytest.mark.parametrize("name", NAMES)
def test_predict_reads_and_writes_folders_with_any_name(name, tmp_path):
    run = random_run(tmp_path / name / "run")
    (tmp_path / name / "in").mkdir()
    tifffile.imwrite(
        tmp_path / name / "in" / f"{name}.tif", np.random.default_rng(0).integers(0, 250, (40, 44), np.uint8)
    )
    config = compose("predict", [f"run={run}", f"input={tmp_path / name / 'in'}", f"output={tmp_path / name / 'out'}"])
    outcome = predict(PredictSettings(run=run, input=config.input, output=tmp_path / name / "out", device="cpu"))
    assert outcome.failures == []
    assert [path.name for path in outcome.written] == [f"{name}.tif"]
    assert config.output == str(tmp_path / name / "out")


def test_the_command_line_takes_them_without_quoting(tmp_path):
    run = random_run(tmp_path / "runs" / "abc")
    (tmp_path / "T=37,0 (1)").mkdir()
    tifffile.imwrite(tmp_path / "T=37,0 (1)/a.tif", np.random.default_rng(0).integers(0, 250, (40, 44), np.uint8))
    (tmp_path / "T=37,0 (1)/notes.docx").write_bytes(b"")
    done: subprocess.CompletedProcess[str] = unet_repro(
        "predict", f"run={run}", "input=T=37,0 (1)", "output=Anna's #3", "device=cpu", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "Anna's #3/a.tif").exists()
    assert re.search(r"skipped files in .*: notes\.docx", done.stderr)


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_prediction_picks_the_channels_that_the_run_was_trained_on(kind, tmp_path):
    planes = np.random.default_rng(0).integers(0, 250, (3, 60, 70), np.uint8)
    options = {"imagej": True} if kind == "imagej" else {"ome": True, "photometric": "minisblack"}
    names = {"Labels": ["DAPI", "GFP", "Cy5"]} if kind == "imagej" else {"Channel": {"Name": ["DAPI", "GFP", "Cy5"]}}
    tifffile.imwrite(tmp_path / "three.tif", planes, metadata={"axes": "CYX", **names}, **options)
    tifffile.imwrite(tmp_path / "two.tif", planes[[2, 0]], photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    normalisation = Normalisation((120.0, 130.0), (60.0, 70.0))
    picked = []
    for number, (channels, name, override) in enumerate(
        [("[2,0]", "three", None), ("[cy5,dapi]", "three", None), ("null", "two", None), ("null", "three", [2, 0])]
    ):
        run = random_run(tmp_path / f"run{number}", f"data.channels={channels}", normalisation=normalisation)
        output = tmp_path / f"{number}.npy"
        settings = PredictSettings(
            run=run, input=str(tmp_path / f"{name}.tif"), output=output, kind="probabilities", channels=override
        )
        assert predict(settings).failures == []
        picked.append(np.load(output))
    for other in picked[1:]:
        np.testing.assert_array_equal(other, picked[0])
    run = random_run(tmp_path / "run", "data.channels=[0,3]", normalisation=normalisation)
    (failure,) = predict(
        PredictSettings(run=run, input=str(tmp_path / "three.tif"), output=tmp_path / "no.npy")
    ).failures
    assert "3 channels (DAPI, GFP, Cy5), but not channel 3" in failure
