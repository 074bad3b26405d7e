"""`unet-repro predict`: all input formats and output kinds, resuming after a kill, and error messages."""

import json
import logging
import os
import signal
import sys
import time

import cv2
import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image
from tiny import unet_repro, warm
from trained import GREY, random_run

from unet_repro import machine
from unet_repro.cli import main
from unet_repro.data.labels import instances_from_mask
from unet_repro.errors import DataError
from unet_repro.inference import planner
from unet_repro.inference.instance_settings import InstanceOverrides, InstanceSettings
from unet_repro.inference.instances import to_instances
from unet_repro.inference.journal import Journal
from unet_repro.inference.overlap_tile import plan_tiles
from unet_repro.inference.overlap_tile import predict as predict_image
from unet_repro.predict import predict
from unet_repro.prediction.jobs import PredictSettings
from unet_repro.runs.network import open_network
from unet_repro.stacks.reading import open_stack

CLOSE = 3e-5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return random_run(tmp_path_factory.mktemp("runs") / "abc")


def grey(*shape, seed=0):
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, shape[-2:]).astype(np.float32), (0, 0), 3)
    one = np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8)
    return np.broadcast_to(one, shape).copy() if len(shape) > 2 else one


def probability(run, image):
    net = open_network(run).net
    plan = plan_tiles(image.shape, net.depth)
    scores = predict_image(net, GREY.apply(image), plan, device=torch.device("cpu"))
    return scores.softmax(0)[-1].numpy()


def settings(run, image, output, **options):
    return PredictSettings(run=run, input=str(image), output=output, device="cpu", **options)


@pytest.mark.parametrize("size", [(9, 11), (30, 200), (150, 130)])
def test_every_result_of_images_smaller_and_larger_than_a_tile(run, tmp_path, size):
    image = grey(*size)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    expected = probability(run, image)
    options = {"memory_gb": 0.001} if size[0] > 100 else {}
    for kind, name in (("classes", "c.png"), ("probabilities", "p.tif"), ("instances", "i.npy")):
        assert not predict(settings(run, tmp_path / "a.png", tmp_path / name, kind=kind, **options)).failures
    np.testing.assert_allclose(tifffile.imread(tmp_path / "p.tif"), expected, atol=CLOSE)
    sure = np.abs(expected - 0.5) > CLOSE
    with Image.open(tmp_path / "c.png") as classes:
        assert (classes.mode, classes.getpalette("RGB")) == ("P", [0, 0, 0, 255, 255, 255])
        np.testing.assert_array_equal(np.asarray(classes)[sure], expected[sure] > 0.5)
    if sure.all():
        np.testing.assert_array_equal(np.load(tmp_path / "i.npy"), instances_from_mask(expected > 0.5))


@pytest.fixture(scope="module")
def large(run):
    """An image of many tiles, and its classes where they are sure."""
    image = grey(1500, 1300)
    found = probability(run, image)
    return image, found > 0.5, np.abs(found - 0.5) > CLOSE


LARGE = {
    "a.png": lambda path, image: cv2.imwrite(str(path), image),
    "a.npy": np.save,
    "a.zarr": lambda path, image: zarr.create_array(path, data=image, chunks=(300, 400)),
    "a.tif": tifffile.imwrite,
    "big.tif": lambda path, image: tifffile.imwrite(path, image, bigtiff=True),
    "strips.tif": lambda path, image: tifffile.imwrite(path, image, compression="zlib", rowsperstrip=64),
    "tiled.tif": lambda path, image: tifffile.imwrite(path, image, compression="lzw", tile=(256, 256)),
    "a.ome.tif": lambda path, image: tifffile.imwrite(path, image, metadata={"axes": "YX"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_large_image_of_each_kind_goes_in_and_out(name, run, tmp_path, large):
    image, classes, sure = large
    LARGE[name](tmp_path / name, image)
    outcome = predict(settings(run, tmp_path / name, tmp_path / "out", memory_gb=0.01))
    assert outcome.written == [tmp_path / "out" / name]
    assert not outcome.failures
    with open_stack(tmp_path / "out" / name, channels=1, labels=True) as stack:  # class numbers, not their colours
        found = stack.read(0, 0, 0, 1500, 1300)[0]
    np.testing.assert_array_equal(found[sure], classes[sure])


def test_the_programs_own_warnings_are_not_switched_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    with pytest.raises(SystemExit):
        main(["predict", "run=nowhere", "input=a", "output=b"])
    assert not logging.getLogger("unet_repro.data.sources.synthetic").disabled
    assert not logging.getLogger("unet_repro.data.weight_cache").disabled


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_probabilities_as_whole_numbers(run, tmp_path, dtype):
    cv2.imwrite(str(tmp_path / "a.png"), grey(60, 50))
    predict(settings(run, tmp_path / "a.png", tmp_path / "p.png", kind="probabilities", dtype=dtype))
    most = np.iinfo(dtype).max
    stored = cv2.imread(str(tmp_path / "p.png"), -1)
    assert stored.dtype == dtype
    np.testing.assert_allclose(stored / most, probability(run, grey(60, 50)), atol=0.51 / most + CLOSE)


def test_bfloat16_is_close_is_another_prediction_and_automatic_is_what_the_processor_is_good_at(
    run, tmp_path, monkeypatch, capsys
):
    image = grey(150, 130)
    cv2.imwrite(str(tmp_path / "a.png"), image)

    def written(name, precision, **options):
        how = settings(run, tmp_path / "a.png", tmp_path / name, kind="probabilities", precision=precision, **options)
        assert not predict(how).failures
        return tifffile.imread(tmp_path / name)

    exact, coarse = written("exact.tif", 32), written("coarse.tif", "bf16")
    np.testing.assert_allclose(exact, probability(run, image), atol=CLOSE)
    assert 0 < np.abs(coarse - exact).max() < 0.05
    for native, like in ((True, coarse), (False, exact)):
        monkeypatch.setattr(machine, "multiplies_bf16", lambda device, native=native: native)
        np.testing.assert_array_equal(written("auto.tif", "auto", overwrite=True), like)
        assert f"precision: {'bf16' if native else 32}" in capsys.readouterr().out


def test_watershed_parts_what_components_join(run, tmp_path):
    image = grey(150, 130)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    how = InstanceSettings(method="watershed", min_size_px=20)
    given = InstanceOverrides(method="watershed", min_size_px=20)
    predict(settings(run, tmp_path / "a.png", tmp_path / "i.tif", kind="instances", instances=given))
    expected = to_instances(probability(run, image), how)
    assert (tifffile.imread(tmp_path / "i.tif") == expected).mean() > 0.999


def test_stacks_keep_their_axes(run, tmp_path):
    stack = np.stack([grey(60, 70, seed=seed) for seed in range(6)]).reshape(2, 3, 60, 70)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TZYX"})
    assert not predict(settings(run, tmp_path / "a.ome.tif", tmp_path / "out")).failures
    with tifffile.TiffFile(tmp_path / "out" / "a.ome.tif") as tif:
        assert tif.series[0].axes == "TZYX"
        classes = tif.series[0].asarray()
    expected = np.stack([probability(run, plane) > 0.5 for plane in stack.reshape(-1, 60, 70)]).reshape(stack.shape)
    assert (classes == expected).mean() > 0.999
    assert not predict(settings(run, tmp_path / "a.ome.tif", tmp_path / "z.zarr")).failures
    np.testing.assert_array_equal(zarr.open(tmp_path / "z.zarr", mode="r")["0"][:], classes)


def test_a_folder_goes_to_a_folder_and_mistakes_of_single_images_do_not_stop_it(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "good.png"), grey(40, 40))
    cv2.imwrite(str(folder / "constant.png"), np.full((40, 40), 7, np.uint8))
    cv2.imwrite(str(folder / "colour.png"), np.zeros((40, 40, 3), np.uint8))
    (folder / "broken.png").write_bytes((folder / "good.png").read_bytes()[:100])
    nan = grey(40, 40).astype(np.float32)
    nan[3, 3] = np.nan
    tifffile.imwrite(folder / "nan.tif", nan)
    done = unet_repro("predict", f"run={run}", f"input={folder}", "output=out", "device=cpu", cwd=tmp_path)
    assert done.returncode == 1
    assert "4 images failed" in done.stderr
    for told in ("is constant", "has 3 channels", "is truncated", "contains NaN", "hint:"):
        assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")] == ["good.png"]
    # Mended, the same command does the rest alone.
    for name in ("constant.png", "colour.png", "broken.png"):
        cv2.imwrite(str(folder / name), grey(40, 40, seed=1))
    tifffile.imwrite(folder / "nan.tif", grey(40, 40))
    before = (tmp_path / "out" / "good.png").stat().st_mtime_ns
    again = unet_repro("predict", f"run={run}", f"input={folder}", "output=out", "device=cpu", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "out" / "good.png").stat().st_mtime_ns == before
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"good.png", "constant.png", "colour.png", "broken.png", "nan.tif"}


def test_a_blank_plane_does_not_spoil_a_stack(run, tmp_path):
    stack = np.stack([np.zeros((40, 40), np.uint8), grey(40, 40)])
    tifffile.imwrite(tmp_path / "a.tif", stack)
    assert not predict(settings(run, tmp_path / "a.tif", tmp_path / "o.tif")).failures


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["output=a.png"], "is also an input"),
        (["output=there.png"], "already exists"),
        (["output=o.png", "input=gone.png"], "does not exist"),
        (["output=o.png", "run=nowhere"], "not a run's folder"),
        (["output=o.png", "checkpoint=last"], "there is no checkpoint"),
        (["output=o.png", "memory_gb=-1"], "must be positive"),
        (["output=o.png", "views=7"], "views=7"),
        (["output=o.png", "kind=outlines"], "kind='outlines'"),
        (["output=o.png", "instances.threshold=2"], "instances.threshold=2"),
        (["output=o.png", "kind=probabilities"], "format=tif"),
        (["output=o.bmp/x.png", "device=gpu"], "no CUDA"),
        ([], "output is required"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(arguments, told, run, tmp_path, monkeypatch, capsys):  # noqa: PLR0917
    if "device=gpu" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    cv2.imwrite(str(tmp_path / "a.png"), grey(40, 40))
    (tmp_path / "there.png").write_text("mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)  # Hydra reads it
    with pytest.raises(SystemExit) as left:
        main(["predict", f"run={run}", "input=a.png", "threads=1", *arguments])
    said = capsys.readouterr().err + str(left.value)
    assert left.value.code not in (None, 0)
    assert told in said
    assert "hint:" in said
    assert {path.name for path in tmp_path.iterdir()} <= {"a.png", "there.png"}
    assert (tmp_path / "there.png").read_text() == "mine"


@pytest.mark.parametrize("kind", ["classes", "instances"])
def test_a_record_whose_partial_file_is_gone_does_not_leave_holes(run, tmp_path, kind, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", grey(300, 200))
    how = {"kind": kind, "memory_gb": 0.002}
    assert not predict(settings(run, tmp_path / "a.tif", tmp_path / "whole.tif", **how)).failures
    monkeypatch.setattr("unet_repro.inference.file.NOTE_EVERY_S", 0.0)
    write = Journal.write

    def stop(journal, position):
        write(journal, position)
        if position.row == 2:
            raise DataError("stopped", hint="")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", stop)
        assert predict(settings(run, tmp_path / "a.tif", tmp_path / "o.tif", **how)).failures
    lost = [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]
    assert lost
    for path in lost:
        path.unlink()
    assert not predict(settings(run, tmp_path / "a.tif", tmp_path / "o.tif", **how)).failures
    assert (tmp_path / "o.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_overwrite_replaces_an_output(run, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), grey(40, 40))
    (tmp_path / "o.png").write_text("old")
    assert not predict(settings(run, tmp_path / "a.png", tmp_path / "o.png", overwrite=True)).failures
    with Image.open(tmp_path / "o.png") as classes:
        assert classes.size == (40, 40)


def test_strange_grey_values_are_told(run, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", grey(60, 60).astype(np.float32) / 255)
    outcome = predict(settings(run, tmp_path / "a.tif", tmp_path / "o.tif"))
    assert not outcome.failures
    assert any("grey values" in note for note in outcome.notes)


@pytest.mark.parametrize(("norm", "free", "told"), [("group", 2e6, 1), ("group", 2e9, 0), ("none", 2e6, 0)])
def test_a_result_that_depends_on_the_free_memory_is_told(norm, free, told, tmp_path, monkeypatch):
    monkeypatch.setattr(planner, "free_bytes", lambda device=None: free)
    run = random_run(tmp_path / "run", f"model.norm={norm}")
    tifffile.imwrite(tmp_path / "a.tif", grey(200, 200))
    outcome = predict(settings(run, tmp_path / "a.tif", tmp_path / "o.tif"))
    assert not outcome.failures
    assert sum("memory_gb=" in note for note in outcome.notes) == told


@pytest.mark.slow
@pytest.mark.parametrize("options", [["kind=classes"], ["kind=instances"], ["kind=probabilities", "stitching=average"]])
def test_a_prediction_killed_in_the_middle_ends_byte_for_byte_like_an_undisturbed_one(run, tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([grey(900, 700, seed=seed) for seed in range(2)]))
    command = ["predict", f"run={run}", "input=a.tif", *options, "memory_gb=0.004", "device=cpu", "threads=1"]
    program = "import unet_repro.inference.file as f; f.NOTE_EVERY_S = 0.0\nfrom unet_repro.cli import main; main()"

    def start(output):
        return warm().start([*command, f"output={output}"], tmp_path, program=program)

    assert start("whole.tif").wait(300) == 0
    record, kills = tmp_path / ".killed.tif.predict.json", 0

    def reached(wanted):
        if not record.exists():
            return False
        position = json.loads(record.read_text())["position"]
        return (position["plane"], position["row"]) >= wanted

    for wanted in ((0, 2), (1, 0)):
        process = start("killed.tif")
        while process.poll() is None and not reached(wanted):
            time.sleep(0.002)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        assert not (tmp_path / "killed.tif").exists()
    assert kills == 2
    assert start("killed.tif").wait(300) == 0
    assert (tmp_path / "killed.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
