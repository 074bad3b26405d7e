"""What is written by blocks comes back whole, after a kill too; nothing half-written ever has the output's name."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
import zarr

from unet_repro.errors import ConfigError, RunError
from unet_repro.stacks.reading import open_stack
from unet_repro.stacks.writer import Layout
from unet_repro.stacks.writing import create

NAMES = ["a.tif", "a.ome.tif", "a.npy", "a.zarr"]


def layout(array, pixel_size_um=None):
    *leading, channels, height, width = array.shape
    axes = "TZ"[2 - len(leading) :]
    return Layout(tuple(leading), axes, channels, height, width, array.dtype, pixel_size_um)


def write_by_blocks(writer, array, size=37):
    planes = array.reshape(-1, *array.shape[-3:])
    for plane, values in enumerate(planes):
        for top in reversed(range(0, values.shape[1], size)):
            for left in range(0, values.shape[2], size):
                writer.write(plane, top, left, values[:, top : top + size, left : left + size])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("shape", [(1, 90, 70), (3, 1, 40, 50), (2, 3, 1, 40, 50), (2, 3, 40, 50)])
@pytest.mark.parametrize("name", NAMES)
def test_blocks_in_any_order_come_back_whole(name, shape, dtype, tmp_path):
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    with create(tmp_path / name, layout(array)) as writer:
        write_by_blocks(writer, array)
        np.testing.assert_array_equal(writer.read(0, 3, 5, 20, 30), array.reshape(-1, *shape[-3:])[0, :, 3:23, 5:35])
        assert not (tmp_path / name).exists()
        writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name.endswith("zarr"):
        whole = zarr.open(tmp_path / name, mode="r")["0"][:]
    else:
        whole = np.load(tmp_path / name) if name.endswith("npy") else tifffile.imread(tmp_path / name)
    np.testing.assert_array_equal(whole.reshape(shape), array)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "a.npy"])
def test_our_own_reader_finds_the_same_planes(name, tmp_path):
    array = np.random.default_rng(0).integers(0, 200, (2, 3, 1, 40, 50)).astype(np.uint8)
    with create(tmp_path / name, layout(array, pixel_size_um=(0.5, 0.25))) as writer:
        write_by_blocks(writer, array)
        writer.finish()
    with open_stack(tmp_path / name, channels=1) as stack:
        assert (stack.leading, stack.axes) == ((2, 3), "TZ")
        np.testing.assert_array_equal(stack.read(4, 0, 0, 40, 50), array[1, 1])
        assert stack.pixel_size_um == (None if name == "a.tif" else (0.5, 0.25))


def test_a_pixel_size_that_is_unknown_stays_unknown(tmp_path):
    with create(tmp_path / "a.zarr", layout(np.ones((1, 40, 50), np.uint8))) as writer:
        writer.finish()
    with open_stack(tmp_path / "a.zarr") as stack:
        assert stack.pixel_size_um is None


def test_the_axes_of_an_ome_tiff_have_different_names(tmp_path):
    array = np.random.default_rng(0).integers(0, 200, (2, 3, 1, 40, 50)).astype(np.uint8)
    positions = replace(layout(array), axes="QZ")
    with create(tmp_path / "a.ome.tif", positions) as writer:
        write_by_blocks(writer, array)
        writer.finish()
    with open_stack(tmp_path / "a.ome.tif") as stack:
        assert (stack.axes, stack.leading) == ("TZ", (2, 3))
        np.testing.assert_array_equal(stack.read(4, 0, 0, 40, 50), array[1, 1])
    for axes, channels in (("QQQ", 1), ("C", 2)):
        shape = (*[1] * len(axes), channels, 8, 9)
        with pytest.raises(ConfigError, match="OME-TIFF has no names for the axes"):
            create(tmp_path / "b.ome.tif", Layout(shape[:-3], axes, channels, 8, 9, np.dtype(np.uint8)))


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (1, np.uint16), (3, np.uint8)])
def test_a_png_is_encoded_at_the_end(channels, dtype, tmp_path):
    array = np.random.default_rng(0).integers(0, 250, (channels, 40, 50)).astype(dtype)
    with create(tmp_path / "a.png", layout(array)) as writer:
        write_by_blocks(writer, array)
        writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    pixels = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    expected = array[0] if channels == 1 else np.moveaxis(array, 0, -1)[..., ::-1]
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize(
    "array", [np.zeros((1, 4, 4), np.float32), np.zeros((3, 1, 4, 4), np.uint8), np.zeros((2, 4, 4), np.uint8)]
)
def test_what_no_png_holds_is_refused(array, tmp_path):
    with pytest.raises(ConfigError, match="format=tif"):
        create(tmp_path / "a.png", layout(array))


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="unsupported suffix"):
        create(tmp_path / "a.bmp", layout(np.zeros((1, 4, 4), np.uint8)))


@pytest.mark.parametrize("name", NAMES)
def test_an_unfinished_output_is_gone_on_with_or_begun_anew(name, tmp_path):
    array = np.arange(1, 201, dtype=np.uint8).reshape(1, 10, 20)
    with create(tmp_path / name, layout(array)) as writer:
        writer.write(0, 0, 0, array[:, :5])
        writer.flush()
    with create(tmp_path / name, layout(array), resume=True) as writer:
        np.testing.assert_array_equal(writer.read(0, 0, 0, 5, 20), array[:, :5])
    with create(tmp_path / name, layout(array)) as writer:
        assert not writer.read(0, 0, 0, 10, 20).any()
    with create(tmp_path / name, layout(array.astype(np.uint16)), resume=True) as writer:
        assert not writer.read(0, 0, 0, 10, 20).any()  # of another type: begun anew
        writer.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_an_older_output_is_replaced_at_the_end_alone(name, tmp_path):
    for value in (1, 2):
        array = np.full((1, 8, 8), value, np.uint8)
        with create(tmp_path / name, layout(array)) as writer:
            writer.write(0, 0, 0, array)
            if value == 2:
                with open_stack(tmp_path / name, channels=1) as stack:
                    assert stack.read(0, 0, 0, 8, 8).max() == 1
            writer.finish()
    with open_stack(tmp_path / name, channels=1) as stack:
        assert stack.read(0, 0, 0, 8, 8).min() == 2


@pytest.mark.parametrize("name", NAMES)
def test_flushed_blocks_survive_a_kill(name, tmp_path):
    program = f"""
        import os, signal, numpy as np
        from pathlib import Path
        from unet_repro.stacks.writer import Layout
        from unet_repro.stacks.writing import create
        writer = create(Path({str(tmp_path / name)!r}), Layout((), "", 1, 64, 64, np.dtype("uint8")))
        writer.write(0, 0, 0, np.full((1, 32, 64), 7, np.uint8))
        writer.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / name).exists()
    with create(tmp_path / name, layout(np.zeros((1, 64, 64), np.uint8)), resume=True) as writer:
        assert (writer.read(0, 0, 0, 32, 64) == 7).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_space_is_told_before_any_work(name, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RunError, match="free some space"):
        create(tmp_path / name, layout(np.zeros((1, 100, 100), np.uint8)))


def test_a_disk_that_fills_up_is_told_too(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunError, match="No space left"):
        create(tmp_path / "a.tif", layout(np.zeros((1, 100, 100), np.uint8)))
