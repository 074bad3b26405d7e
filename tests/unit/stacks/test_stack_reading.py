"""Every kind of file is read by regions as its library reads it whole; what is damaged or does not fit is refused."""

import tracemalloc

import cv2
import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unet_repro.errors import DataError
from unet_repro.stacks.names import find_inputs
from unet_repro.stacks.reading import open_stack


def grey(*shape, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).integers(0, 250, shape)
    return values.astype(dtype)


def ome_zarr(path, array, axes, version, unit="micrometer"):
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("0", data=array)
    scale = [1.0] * (len(axes) - 2) + [0.5, 0.25]
    body = {
        "multiscales": [
            {
                "version": version,
                "axes": [{"name": name, "type": "space", **({"unit": unit} if unit else {})} for name in axes],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [{"type": "scale", "scale": scale}],
                    }
                ],
            }
        ]
    }
    group.attrs.update(body if version == "0.4" else {"ome": {"version": version, **body}})


def write(path, array, kind):
    """Writes ``(H, W)``, ``(N, H, W)`` or ``(N, C, H, W)`` in one of many ways."""
    match kind:
        case "png":
            cv2.imwrite(str(path), array)
        case "npy":
            np.save(path, array)
        case "zarr2" | "zarr3":
            zarr.save_array(path, array, zarr_format=int(kind[-1]))
        case "tiff":
            tifffile.imwrite(path, array, photometric="minisblack")
        case "big-endian":
            tifffile.imwrite(path, array, byteorder=">", photometric="minisblack")
        case "bigtiff":
            tifffile.imwrite(path, array, bigtiff=True, photometric="minisblack")
        case "zlib" | "lzw":
            tifffile.imwrite(path, array, compression=kind, rowsperstrip=7, photometric="minisblack")
        case "tiled":
            tifffile.imwrite(path, array, tile=(32, 48), photometric="minisblack")
        case "tiled-zlib":
            tifffile.imwrite(path, array, tile=(32, 48), compression="zlib", photometric="minisblack")


def suffix(kind):
    return {"png": ".png", "npy": ".npy", "zarr2": ".zarr", "zarr3": ".zarr"}.get(kind, ".tif")


KINDS = ["png", "npy", "zarr2", "zarr3", "tiff", "big-endian", "bigtiff", "zlib", "lzw", "tiled", "tiled-zlib"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_plane_of_any_type_and_kind(kind, dtype, tmp_path):
    if kind == "png" and dtype not in (np.uint8, np.uint16):
        pytest.skip("no PNG of this type")
    array = grey(70, 91, dtype=dtype)
    path = tmp_path / f"image{suffix(kind)}"
    write(path, array, kind)
    with open_stack(path, channels=1) as stack:
        assert (stack.num_planes, stack.channels, stack.height, stack.width) == (1, 1, 70, 91)
        assert stack.dtype.newbyteorder("=") == dtype
        np.testing.assert_array_equal(stack.read(0, 0, 0, 70, 91)[0], array)
        np.testing.assert_array_equal(stack.read(0, 5, 40, 33, 51)[0], array[5:38, 40:91])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "png"])
def test_a_stack_is_read_plane_by_plane(kind, tmp_path):
    array = grey(4, 50, 64)
    path = tmp_path / f"image{suffix(kind)}"
    write(path, array, kind)
    with open_stack(path, channels=1) as stack:
        assert stack.leading == (4,)
        for plane in range(4):
            np.testing.assert_array_equal(stack.read(plane, 3, 2, 40, 60)[0], array[plane, 3:43, 2:62])


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_of_a_tiff(planar, tmp_path):
    array = grey(40, 50, 3) if planar == "contig" else grey(3, 40, 50)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", planarconfig=planar)
    with open_stack(tmp_path / "a.tif", channels=3) as stack:
        expected = np.moveaxis(array, -1, 0) if planar == "contig" else array
        np.testing.assert_array_equal(stack.read(0, 2, 3, 20, 30), expected[:, 2:22, 3:33])


def test_colours_of_png_and_jpeg_come_in_the_order_red_green_blue(tmp_path):
    array = np.zeros((32, 48, 3), np.uint8)
    array[..., 0], array[:16, :, 1] = 200, 90
    imageio.imwrite(tmp_path / "a.png", array)
    imageio.imwrite(tmp_path / "a.jpg", array, quality=100)
    for name, tolerance in (("a.png", 0), ("a.jpg", 20)):
        with open_stack(tmp_path / name, channels=3) as stack:
            read = np.moveaxis(stack.read(0, 0, 0, 32, 48), 0, -1).astype(int)
            assert np.abs(read - array).max() <= tolerance


def test_an_ome_tiff_of_times_and_depths_with_its_pixel_size(tmp_path):
    array = grey(2, 3, 40, 50, dtype=np.uint16)
    metadata = {
        "axes": "TZYX",
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.25,
        "PhysicalSizeYUnit": "µm",
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", array, metadata=metadata)
    with open_stack(tmp_path / "a.ome.tif", channels=1) as stack:
        assert (stack.leading, stack.axes, stack.pixel_size_um) == ((2, 3), "TZ", (0.25, 0.5))
        np.testing.assert_array_equal(stack.read(4, 0, 0, 40, 50)[0], array[1, 1])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_is_read_at_its_finest_level(version, tmp_path):
    array = grey(3, 1, 40, 50)
    ome_zarr(tmp_path / "a.zarr", array, "zcyx", version)
    with open_stack(tmp_path / "a.zarr", channels=1) as stack:
        assert (stack.leading, stack.axes, stack.pixel_size_um) == ((3,), "Z", (0.5, 0.25))
        np.testing.assert_array_equal(stack.read(2, 1, 2, 30, 40)[0], array[2, 0, 1:31, 2:42])


@pytest.mark.parametrize(("unit", "size"), [("nanometer", (0.0005, 0.00025)), (None, None), ("parsec", None)])
def test_the_pixel_size_of_an_ome_zarr_has_a_known_unit_or_is_unknown(unit, size, tmp_path):
    ome_zarr(tmp_path / "a.zarr", grey(40, 50), "yx", "0.5", unit)
    with open_stack(tmp_path / "a.zarr") as stack:
        assert stack.pixel_size_um == (None if size is None else pytest.approx(size))


def test_dimensions_of_a_zarr_whose_names_begin_alike_are_told_apart(tmp_path):
    names = ["slice", "y", "x"]
    array = zarr.create_array(tmp_path / "a.zarr", shape=(5, 40, 50), dtype="uint8", dimension_names=names)
    array[:] = grey(5, 40, 50)
    with open_stack(tmp_path / "a.zarr", channels=1) as stack:
        assert stack.leading == (5,)


def test_each_position_of_an_ome_tiff_in_several_files_has_its_own_pixels(tmp_path):
    names = [f"urn:uuid:00000000-0000-0000-0000-00000000000{number}" for number in range(2)]
    images = "".join(
        f'<Image ID="Image:{n}"><Pixels ID="Pixels:{n}" DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="6" '
        f'SizeZ="3" SizeC="1" SizeT="1"><Channel ID="Channel:{n}:0" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="3"><UUID FileName="p{n}.ome.tif">{names[n]}</UUID></TiffData></Pixels></Image>'
        for n in range(2)
    )
    schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    for n in range(2):
        xml = f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{schema}" UUID="{names[n]}">{images}</OME>'
        planes = np.stack([np.full((6, 8), 10 * n + z, np.uint8) for z in range(3)])
        how = {"photometric": "minisblack", "metadata": None, "description": xml}
        tifffile.imwrite(tmp_path / f"p{n}.ome.tif", planes, ome=False, **how)
    for n in range(2):
        with open_stack(tmp_path / f"p{n}.ome.tif") as stack:
            found = [int(stack.read(plane, 0, 0, 6, 8)[0, 0, 0]) for plane in range(stack.num_planes)]
            assert found == [0, 1, 2, 10, 11, 12]


def test_a_colour_array_is_not_read_as_a_stack_of_narrow_planes(tmp_path):
    np.save(tmp_path / "a.npy", grey(50, 60, 3))
    with pytest.raises(DataError, match="has 3 channels"):
        open_stack(tmp_path / "a.npy", channels=1)


@pytest.fixture(scope="module")
def striped(tmp_path_factory):
    array = grey(120, 90, seed=3)
    path = tmp_path_factory.mktemp("striped") / "a.tif"
    write(path, array, "zlib")
    return path, array


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_region_is_a_slice(striped, data):
    path, array = striped
    top, left = data.draw(st.integers(0, 119)), data.draw(st.integers(0, 89))
    height, width = data.draw(st.integers(1, 120 - top)), data.draw(st.integers(1, 90 - left))
    with open_stack(path, channels=1) as stack:
        region = stack.read(0, top, left, height, width)
    np.testing.assert_array_equal(region[0], array[top : top + height, left : left + width])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "png"])
def test_a_region_of_a_large_plane_takes_no_more_memory_than_its_surroundings(kind, tmp_path):
    array = (np.arange(5000 * 5000) % 251).astype(np.uint8).reshape(5000, 5000)
    path = tmp_path / f"large{suffix(kind)}"
    if kind.startswith("tiled"):
        compression = "zlib" if kind.endswith("zlib") else None
        tifffile.imwrite(path, array, tile=(256, 256), compression=compression, photometric="minisblack")
    elif kind in ("zlib", "lzw"):
        tifffile.imwrite(path, array, compression=kind, rowsperstrip=64, photometric="minisblack")
    elif kind.startswith("zarr"):
        zarr.create_array(path, data=array, chunks=(512, 512), zarr_format=int(kind[-1]))
    else:
        write(path, array, kind)
    tracemalloc.start()
    try:
        with open_stack(path, channels=1) as stack:
            region = stack.read(0, 2100, 3300, 300, 400)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(region[0], array[2100:2400, 3300:3700])
    assert peak < array.nbytes / 4


@pytest.mark.parametrize("kind", ["png", "tiff", "zlib", "npy"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_refused(kind, share, tmp_path):
    path = tmp_path / f"a{suffix(kind)}"
    write(path, grey(100, 100), kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=r"cannot be read|truncated"):
        open_stack(path, channels=1)


def test_a_truncated_jpeg_is_refused(tmp_path):
    imageio.imwrite(tmp_path / "a.jpg", grey(80, 80))
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-200])
    with pytest.raises(DataError, match="truncated"):
        open_stack(tmp_path / "a.jpg", channels=1)


def test_data_after_a_jpeg_do_not_matter(tmp_path):
    imageio.imwrite(tmp_path / "a.jpg", grey(80, 80))
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(whole + b"made with a phone")
    with open_stack(tmp_path / "a.jpg") as a, open_stack(tmp_path / "b.jpg") as b:
        np.testing.assert_array_equal(a.read(0, 0, 0, 80, 80), b.read(0, 0, 0, 80, 80))
    start = whole[:2] + b"\xff\xe1\x00\x06\xff\xda\xff\xd9"  # with a thumbnail that is complete
    (tmp_path / "c.jpg").write_bytes(start + whole[2:-200])
    with pytest.raises(DataError, match="truncated"):
        open_stack(tmp_path / "c.jpg")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.jpg"])
def test_an_empty_file_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read"):
        open_stack(tmp_path / name, channels=1)


def test_other_channels_than_those_of_the_training_are_refused(tmp_path):
    imageio.imwrite(tmp_path / "rgb.png", grey(30, 30, 3))
    with pytest.raises(DataError, match="has 3 channels .* trained on 1"):
        open_stack(tmp_path / "rgb.png", channels=1)
    imageio.imwrite(tmp_path / "rgba.png", grey(30, 30, 4))
    with pytest.raises(DataError, match="has 4 channels .* trained on 3"):
        open_stack(tmp_path / "rgba.png", channels=3)
    imageio.imwrite(tmp_path / "grey.png", grey(30, 30))
    with pytest.raises(DataError, match="has 1 channel .* trained on 3"):
        open_stack(tmp_path / "grey.png", channels=3)


def test_arrays_that_are_no_images_are_refused(tmp_path):
    np.save(tmp_path / "line.npy", np.arange(5, dtype=np.uint8))
    with pytest.raises(DataError, match="expected rows and columns"):
        open_stack(tmp_path / "line.npy", channels=1)
    np.save(tmp_path / "none.npy", np.zeros((0, 5), np.uint8))
    with pytest.raises(DataError, match="is empty"):
        open_stack(tmp_path / "none.npy", channels=1)
    np.save(tmp_path / "wide.npy", np.zeros((5, 5), np.uint32))
    with pytest.raises(DataError, match="is uint32"):
        open_stack(tmp_path / "wide.npy", channels=1)
    np.save(tmp_path / "objects.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(DataError, match="holds Python objects"):
        open_stack(tmp_path / "objects.npy", channels=1)
    zarr.open_group(tmp_path / "group.zarr", mode="w")
    with pytest.raises(DataError, match="no multiscales"):
        open_stack(tmp_path / "group.zarr", channels=1)
    with pytest.raises(DataError, match="is missing"):
        open_stack(tmp_path / "gone.tif", channels=1)
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(DataError, match="unsupported format"):
        open_stack(tmp_path / "text.txt", channels=1)


def test_inputs_are_files_folders_globs_and_zarr_folders(tmp_path, monkeypatch):
    for name in ("t10.png", "t9.png", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    zarr.save_array(tmp_path / "z.zarr", grey(4, 4))
    names = [path.name for path in find_inputs(tmp_path)]
    assert names == ["t9.png", "t10.png", "z.zarr"]
    assert [path.name for path in find_inputs(str(tmp_path / "t*.png"))] == ["t9.png", "t10.png"]
    assert find_inputs(tmp_path / "z.zarr") == [tmp_path / "z.zarr"]
    with pytest.raises(DataError, match="does not exist"):
        find_inputs(tmp_path / "gone*.tif")
    with pytest.raises(DataError, match=r"supported: \.png"):
        find_inputs(tmp_path / "notes.txt")
