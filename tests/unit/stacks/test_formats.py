"""One reader for many formats: layouts, series, channels, palettes, WhiteIsZero; made with the formats' own writers."""

import contextlib
import io
import struct
import sys
import tempfile
import types
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lif_file import lif_bytes
from PIL import ExifTags, Image, ImageOps

from unet_repro.data.read import read_image, read_labels, read_pages
from unet_repro.errors import DataError
from unet_repro.stacks.choice import Choice
from unet_repro.stacks.names import left_out
from unet_repro.stacks.reading import open_stack


def grey(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


# --- channels ------------------------------------------------------------------------------------------------------


def imagej(path, array, labels=None):
    slices = {"Labels": labels * (array.shape[0] if array.ndim == 4 else 1)} if labels else {}
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": "ZCYX"[-array.ndim :], **slices})


def ome(path, array, names):
    metadata = {"axes": "ZCYX"[-array.ndim :], **({"Channel": {"Name": names}} if names else {})}
    tifffile.imwrite(path, array, metadata=metadata, photometric="minisblack")


def ome_zarr(path, array, names):
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("0", data=array)
    axes = [{"name": name, "type": "space"} for name in "zcyx"[-array.ndim :]]
    shown = {"omero": {"channels": [{"label": name} for name in names]}} if names else {}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}], **shown}


WRITERS = {"a.tif": imagej, "a.ome.tif": ome, "a.zarr": ome_zarr}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("shape", [(2, 20, 30), (4, 3, 20, 30)])
def test_channels_are_picked_by_number_and_by_name(name, shape, tmp_path):
    array, names = grey(*shape), ["DAPI", "Membrane", "GFP"][: shape[-3]]
    WRITERS[name](tmp_path / name, array, names)
    stack = array.reshape(-1, *shape[-3:])
    np.testing.assert_array_equal(read_pages(tmp_path / name), stack)
    for channels, expected in (([1, 0], [1, 0]), (["membrane"], [1]), ("DAPI", [0]), (1, [1])):
        pages = read_pages(tmp_path / name, Choice(channels=channels))
        wanted = stack[:, expected]
        np.testing.assert_array_equal(pages, wanted[:, 0] if len(expected) == 1 else wanted)
        with open_stack(tmp_path / name, choice=Choice(channels=channels), channels=len(expected)) as opened:
            assert opened.channel_names == tuple(names[number] for number in expected)
            np.testing.assert_array_equal(opened.read(0, 3, 4, 10, 20), wanted[0, :, 3:13, 4:24])


def test_a_region_of_one_channel_reads_only_that_channel(tmp_path):
    array = grey(3, 20, 30)
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", data=array, chunks=(1, 20, 30))
    axes = [{"name": name} for name in "cyx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    (tmp_path / "a.zarr/0/c/0/0/0").write_bytes(b"damaged")
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr", Choice(channels=[2])), array[2])
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("channels", "match"),
    [
        ([2], "not channel 2"),
        (["cy5"], "not channel cy5"),
        ([0, 0], "twice"),
        ([], "none chosen"),
        ([-1], "channel -1"),
    ],
)
def test_channels_that_a_file_does_not_have_are_refused_with_those_it_has(channels, match, tmp_path):
    ome(tmp_path / "a.ome.tif", grey(2, 20, 30), ["DAPI", "GFP"])
    with pytest.raises(DataError, match=match) as caught:
        read_image(tmp_path / "a.ome.tif", Choice(channels=channels))
    assert channels == [0, 0] or "DAPI, GFP" in str(caught.value)


def test_colours_are_picked_by_name(tmp_path):
    array = grey(20, 30, 3)
    Image.fromarray(array).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb")
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name, Choice(channels="green")), array[..., 1])


def test_transparency_is_dropped_if_opaque_and_otherwise_by_choice(tmp_path):
    array = grey(20, 30, 4)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    Image.fromarray(array).save(tmp_path / "a.png")
    Image.fromarray(array[..., [0, 3]], "LA").save(tmp_path / "grey.png")
    for name, number in (("a.tif", 4), ("a.png", 4), ("grey.png", 2)):
        with pytest.raises(DataError, match=f"has {number} channels, of which the last is transparency"):
            read_image(tmp_path / name)
    for name in ("a.tif", "a.png"):
        np.testing.assert_array_equal(
            read_image(tmp_path / name, Choice(channels=[0, 1, 2])), array[..., :3].transpose(2, 0, 1)
        )
    array[..., 3] = 255
    Image.fromarray(array).save(tmp_path / "opaque.png")
    Image.fromarray(array[..., [0, 3]], "LA").save(tmp_path / "opaque_grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png"), array[..., :3].transpose(2, 0, 1))
    np.testing.assert_array_equal(read_image(tmp_path / "opaque_grey.png"), array[..., 0])


# --- series --------------------------------------------------------------------------------------------------------


def many_tif(path, arrays):
    with tifffile.TiffWriter(path, ome=True) as tif:
        for number, array in enumerate(arrays):
            tif.write(array, metadata={"axes": "YX", "Name": f"position {number}"}, photometric="minisblack")


def many_zarr(path, arrays):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    for number, array in enumerate(arrays):
        one = group.create_group(str(number))
        one.create_array("0", data=array)
        one.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]
    group.create_group("OME").attrs["series"] = [str(number) for number in range(len(arrays))]


def many_h5(path, arrays):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for number, array in enumerate(arrays):
            file[f"position {number}"] = array
        file["table"] = np.arange(4)


def many_npz(path, arrays):
    np.savez(path, **{f"position {number}": array for number, array in enumerate(arrays)})


@pytest.mark.parametrize(
    ("name", "write"), [("a.ome.tif", many_tif), ("a.zarr", many_zarr), ("a.h5", many_h5), ("a.npz", many_npz)]
)
def test_one_of_several_images_is_chosen_and_alike_ones_are_planes(name, write, tmp_path):
    arrays = [grey(20, 30, seed=seed) for seed in range(3)]
    write(tmp_path / name, arrays)
    np.testing.assert_array_equal(read_pages(tmp_path / name), arrays)
    np.testing.assert_array_equal(read_image(tmp_path / name, Choice(series=1)), arrays[1])
    by_name = "2" if name == "a.zarr" else "position 2"
    np.testing.assert_array_equal(read_image(tmp_path / name, Choice(series=by_name)), arrays[2])
    with pytest.raises(DataError, match="no series 3; it has 0: "):
        read_pages(tmp_path / name, Choice(series=3))


@pytest.mark.parametrize(
    ("name", "write"), [("a.ome.tif", many_tif), ("b.zarr", many_zarr), ("a.h5", many_h5), ("a.npz", many_npz)]
)
def test_images_that_differ_need_a_choice(name, write, tmp_path):
    arrays = [grey(20, 30), grey(10, 15)]
    write(tmp_path / name, arrays)
    with pytest.raises(DataError, match="contains 2 images that differ in shape or type") as caught:
        read_pages(tmp_path / name)
    assert "series=0" in caught.value.hint
    np.testing.assert_array_equal(read_image(tmp_path / name, Choice(series=1)), arrays[1])


def test_a_pyramid_is_read_at_its_finest_level(tmp_path):
    array = grey(64, 96)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tif:
        tif.write(array, subifds=1, tile=(32, 32), metadata={"axes": "YX"})
        tif.write(array[::2, ::2], subfiletype=1, tile=(32, 32))
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif"), array)


def test_a_plate_is_read_well_by_well(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "B/2"}]}
    for number, well in enumerate(("A/1", "B/2")):
        one = group.create_group(well)
        one.attrs["well"] = {"images": [{"path": "0"}]}
        field = one.create_group("0")
        field.create_array("0", data=grey(20, 30, seed=number))
        field.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]
    np.testing.assert_array_equal(read_pages(tmp_path / "a.zarr"), [grey(20, 30, seed=0), grey(20, 30, seed=1)])
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr", Choice(series="B/2/0")), grey(20, 30, seed=1))


# --- HDF5 and NumPy ------------------------------------------------------------------------------------------------


def test_axes_of_hdf5_are_those_that_ilastik_or_hdf5_name(tmp_path):
    h5py = pytest.importorskip("h5py")
    array = grey(4, 20, 30, 2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("volume/data", data=array, chunks=(1, 8, 8, 2), compression="gzip")
        data.attrs["axistags"] = '{"axes": [{"key": "z"}, {"key": "y"}, {"key": "x"}, {"key": "c"}]}'
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"] = array[0, ..., 0].T
        for dimension, label in zip(file["data"].dims, "xy", strict=True):
            dimension.label = label
    np.testing.assert_array_equal(read_pages(tmp_path / "a.h5"), array.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(read_image(tmp_path / "b.h5"), array[0, ..., 0])
    with open_stack(tmp_path / "b.h5") as stack:
        np.testing.assert_array_equal(stack.read(0, 2, 3, 10, 20)[0], array[0, 2:12, 3:23, 0])


@pytest.mark.parametrize("kind", ["h5", "npy", "zarr"])
def test_the_channel_axis_of_an_unnamed_array_is_the_short_one_if_channels_are_chosen(kind, tmp_path):
    for array in (grey(3, 20, 30), grey(20, 30, 3)):
        path = tmp_path / f"{array.shape[0]}.{kind}"
        if kind == "h5":
            pytest.importorskip("h5py").File(path, "w").create_dataset("data", data=array).file.close()
        elif kind == "npy":
            np.save(path, array)
        else:
            zarr.save_array(path, array)
        expected = array[1] if array.shape[0] == 3 else array[..., 1]
        np.testing.assert_array_equal(read_image(path, Choice(channels=[1])), expected)


# --- what viewers show ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "dtype"),
    [({}, np.uint8), ({}, np.uint16), ({"compression": "zlib"}, np.uint8), ({"tile": (16, 16)}, np.uint16)],
)
def test_white_is_zero_is_read_as_it_is_shown(options, dtype, tmp_path):
    shown = grey(20, 30, dtype=dtype)
    top = np.iinfo(dtype).max
    tifffile.imwrite(tmp_path / "a.tif", top - shown, photometric="miniswhite", **options)
    for found in (read_image(tmp_path / "a.tif"), read_labels(tmp_path / "a.tif")):
        np.testing.assert_array_equal(found, shown)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", Choice(raw=True)), top - shown)
    with open_stack(tmp_path / "a.tif") as stack:
        np.testing.assert_array_equal(stack.read(0, 3, 4, 10, 20)[0], shown[3:13, 4:24])


@pytest.mark.parametrize("white_is_zero", [True, False])
@pytest.mark.parametrize("compression", [None, "group4", "tiff_lzw", "packbits"])
def test_one_bit_masks_are_one_where_viewers_show_white(white_is_zero, compression, tmp_path):
    mask = np.zeros((20, 30), bool)
    mask[4:12, 5:21] = True
    Image.fromarray(mask).save(tmp_path / "a.tif", compression=compression, tiffinfo={262: int(not white_is_zero)})
    assert (np.array(Image.open(tmp_path / "a.tif")) == mask).all()
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), mask)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), mask)


def palette(path, numbers, colours):
    image = Image.frombytes("P", numbers.shape[::-1], numbers.astype(np.uint8).tobytes())
    image.putpalette(colours.astype(np.uint8).tobytes())
    image.save(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_labels_with_a_palette_are_the_numbers_that_index_it(suffix, tmp_path):
    numbers = grey(20, 30)
    palette(tmp_path / f"a{suffix}", numbers, grey(256, 3, seed=1))
    np.testing.assert_array_equal(read_labels(tmp_path / f"a{suffix}"), numbers)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_images_with_a_palette_are_the_colours_or_greys_that_it_shows(suffix, tmp_path):
    numbers, colours = grey(20, 30), grey(256, 3, seed=1)
    palette(tmp_path / f"a{suffix}", numbers, colours)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), colours[numbers].transpose(2, 0, 1))
    greys = np.repeat(np.arange(255, -1, -1)[:, None], 3, 1)
    palette(tmp_path / f"b{suffix}", numbers, greys)
    np.testing.assert_array_equal(read_image(tmp_path / f"b{suffix}"), 255 - numbers)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_few_bits_keep_their_numbers(bits, tmp_path):
    numbers = grey(20, 30) % 2**bits
    rows = np.packbits(np.unpackbits(numbers[..., None], axis=-1)[..., -bits:].reshape(20, -1), axis=-1)
    header = struct.pack(">IIBBBBB", 30, 20, bits, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = b""
    for kind, content in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")):
        chunks += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), numbers)


def test_a_grey_mask_saved_with_colours_is_one_channel_of_labels(tmp_path):
    mask = grey(20, 30)
    cv2.imwrite(str(tmp_path / "a.png"), np.repeat(mask[..., None], 3, -1))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), mask)


def test_bmp_is_read_and_a_truncated_one_refused(tmp_path):
    for array in (grey(20, 31), grey(20, 31, 3)):
        Image.fromarray(array).save(tmp_path / "a.bmp")
        np.testing.assert_array_equal(
            read_image(tmp_path / "a.bmp"), np.moveaxis(array, -1, 0) if array.ndim == 3 else array
        )
        data = (tmp_path / "a.bmp").read_bytes()
        (tmp_path / "a.bmp").write_bytes(data[:-100])
        with pytest.raises(DataError, match="truncated"):
            read_image(tmp_path / "a.bmp")


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("inch", None)])
def test_the_pixel_size_of_imagej_is_in_micrometres(unit, factor, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", grey(20, 30), imagej=True, resolution=(4, 2), metadata={"unit": unit})
    with open_stack(tmp_path / "a.tif") as stack:
        assert stack.pixel_size_um == (None if factor is None else pytest.approx((0.5 * factor, 0.25 * factor)))


# --- microscopes, by BioIO -----------------------------------------------------------------------------------------


class FakeImage:
    """As much of ``bioio.BioImage`` as is used: two scenes of channels and depths."""

    arrays = (grey(1, 2, 3, 20, 30, seed=0), grey(1, 2, 3, 20, 30, seed=1))
    channel_names = ("DAPI", "GFP")
    scenes = ("Image:0", "Image:1")
    physical_pixel_sizes = types.SimpleNamespace(Z=1.0, Y=0.5, X=0.25)
    dims = types.SimpleNamespace(order="TCZYX")

    def __init__(self, path):
        if Path(path).read_bytes() == b"unknown":
            raise type("UnsupportedFileFormatError", (Exception,), {})("not supported")
        self.scene = 0

    def set_scene(self, number):
        self.scene = number

    @property
    def dask_data(self):
        return self.arrays[self.scene]


@pytest.fixture
def bioio(monkeypatch):
    monkeypatch.setitem(sys.modules, "bioio", types.SimpleNamespace(BioImage=FakeImage))


@pytest.mark.usefixtures("bioio")
@pytest.mark.parametrize("suffix", [".czi", ".nd2", ".lif", ".ND2"])
def test_files_of_microscopes_have_scenes_channels_and_pixel_sizes(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"known")
    with open_stack(path, choice=Choice(channels=["gfp"], series="Image:1"), channels=1) as stack:
        assert (stack.leading, stack.axes, stack.pixel_size_um) == ((1, 3), "TZ", (0.5, 0.25))
        np.testing.assert_array_equal(stack.read(2, 1, 2, 10, 20)[0], FakeImage.arrays[1][0, 1, 2, 1:11, 2:22])
    with open_stack(path) as stack:
        assert (stack.num_planes, stack.channels) == (6, 2)
        np.testing.assert_array_equal(stack.read(4, 0, 0, 20, 30), FakeImage.arrays[1][0, :, 1])


@pytest.mark.usefixtures("bioio")
def test_a_file_that_bioio_rejects_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "a.czi").write_bytes(b"unknown")
    with pytest.raises(DataError, match="cannot be read .*not supported") as caught:
        open_stack(tmp_path / "a.czi")
    assert "bioio-bioformats" in caught.value.hint


@pytest.mark.parametrize(("name", "package"), [("a.nd2", "bioio"), ("a.h5", "h5py")])
def test_a_missing_package_is_named_with_its_installation(name, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(b"any")
    with pytest.raises(DataError, match=package) as caught:
        open_stack(tmp_path / name)
    assert "pip install 'bioio>=" in caught.value.hint


def test_the_real_reader_of_czi_reads_what_its_writer_wrote(tmp_path):
    pytest.importorskip("bioio_czi")
    writer = pytest.importorskip("pylibCZIrw.czi")
    array = grey(2, 3, 64, 80, dtype=np.uint16)
    with writer.create_czi(str(tmp_path / "a.czi")) as czi:
        for channel, depth in np.ndindex(2, 3):
            czi.write(array[channel, depth][..., None], plane={"C": channel, "Z": depth, "T": 0})
        czi.write_metadata(channel_names={0: "DAPI", 1: "GFP"}, scale_x=0.25e-6, scale_y=0.5e-6)
    np.testing.assert_array_equal(read_pages(tmp_path / "a.czi", Choice(channels=["GFP"])), array[1])
    with open_stack(tmp_path / "a.czi") as stack:
        assert stack.pixel_size_um == pytest.approx((0.5, 0.25))


def test_the_real_reader_of_lif_reads_a_file_of_that_format(tmp_path):
    pytest.importorskip("bioio_lif")
    array = grey(2, 3, 40, 50)
    (tmp_path / "a.lif").write_bytes(lif_bytes(array, pixel_um=(0.5, 0.25)))
    with open_stack(tmp_path / "a.lif", choice=Choice(channels=["green"])) as stack:
        assert (stack.leading, stack.axes, stack.channel_names) == ((1, 3), "TZ", ("Green",))
        assert stack.pixel_size_um == pytest.approx((0.5, 0.25))
        np.testing.assert_array_equal(stack.read(2, 1, 2, 10, 20)[0], array[1, 2, 1:11, 2:22])


@pytest.mark.parametrize(("suffix", "package"), [(".lif", "bioio_lif"), (".czi", "bioio_czi"), (".nd2", "bioio_nd2")])
@pytest.mark.parametrize("content", [b"", b"junk", bytes(300)])
def test_the_real_readers_refuse_a_damaged_file_with_the_way_out(suffix, package, content, tmp_path):
    pytest.importorskip(package)
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as caught:
        open_stack(tmp_path / f"a{suffix}")
    assert caught.value.hint
    assert "\n" not in caught.value.what


# --- folders, and damage -------------------------------------------------------------------------------------------


def test_what_is_not_taken_from_a_folder_is_named_with_the_reason(tmp_path):
    for name in ("a.tif", "b.CZI", "notes.txt", "t10.docx", "t9.docx", "README", ".DS_Store"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "more").mkdir()
    zarr.save_array(tmp_path / "z", grey(4, 4))
    reasons = left_out(tmp_path)
    assert [reason.split()[0] for reason in reasons] == ["README", "more", "notes.txt", "t9.docx", "t10.docx"]
    assert reasons[1:3] == ["more (a folder)", "notes.txt (.txt is not a supported image format)"]
    assert left_out(tmp_path / "a.tif") == left_out(tmp_path / "z") == []


def samples(folder):
    array = grey(24, 20)
    cv2.imwrite(str(folder / "a.png"), array)
    cv2.imwrite(str(folder / "a.jpg"), array)
    cv2.imwrite(str(folder / "a.bmp"), array)
    tifffile.imwrite(folder / "a.tif", array, compression="zlib")
    ome(folder / "a.ome.tif", grey(2, 24, 20), ["DAPI", "GFP"])
    imagej(folder / "b.tif", grey(2, 24, 20))
    np.save(folder / "a.npy", array)
    np.savez_compressed(folder / "a.npz", array)
    many_h5(folder / "a.h5", [array])
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    return [(path.name, path.read_bytes()) for path in samples(tmp_path_factory.mktemp("intact"))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 8),
    damage=st.sampled_from(["flip", "cut", "insert", "replace"]),
    where=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=60),
)
def test_a_damaged_file_is_read_or_refused_as_a_data_error(intact, tmp_path, *, number, damage, where, junk):
    name, content = intact[number]
    at = int(where * len(content))
    header = int(where * min(len(content), 600))  # most fields are there
    changed = {
        "flip": content[:header] + junk[:4] + content[header + len(junk[:4]) :],
        "cut": content[:at],
        "insert": content[:at] + junk + content[at:],
        "replace": junk,
    }[damage]
    path = tmp_path / name
    path.write_bytes(changed)
    for read in (read_pages, read_labels):
        with contextlib.suppress(DataError):  # any other exception fails the test
            read(path)


@pytest.mark.parametrize("white_first", [True, False])
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_masks_in_a_palette_of_black_and_white_are_what_viewers_show(tmp_path, suffix, white_first):
    mask = np.zeros((12, 16), bool)
    mask[2:6, 3:9] = True
    numbers = (mask != white_first).astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        colours = np.zeros((3, 256), np.uint16)
        colours[:, 0 if white_first else 1] = 65535
        tifffile.imwrite(path, numbers, photometric="palette", colormap=colours)
    else:
        image = Image.fromarray(numbers, "P")
        image.putpalette([255, 255, 255, 0, 0, 0] if white_first else [0, 0, 0, 255, 255, 255])
        image.save(path)
    if suffix != ".tif":
        np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127, mask)
    with open_stack(path, labels=True) as stack:
        np.testing.assert_array_equal(stack.read(0, 0, 0, 12, 16)[0], mask.astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_photographs_are_turned_as_viewers_show_them(tmp_path, suffix, orientation):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :8], pixels[8:, 24:] = 250, 120
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    with Image.open(path) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    with open_stack(path) as stack:
        read = stack.read(0, 0, 0, stack.height, stack.width)
    np.testing.assert_allclose(read, shown.transpose(2, 0, 1).astype(read.dtype), atol=2)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_the_orientation_tag_of_a_tiff_is_not_applied(tmp_path, compression):
    tifffile.imwrite(tmp_path / "a.tif", grey(16, 32), compression=compression, extratags=[("Orientation", "H", 1, 6)])
    with open_stack(tmp_path / "a.tif") as stack:
        np.testing.assert_array_equal(stack.read(0, 0, 0, 16, 32)[0], grey(16, 32))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_exif_does_not_keep_a_photograph_from_being_read(changes):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    buffer = io.BytesIO()
    Image.fromarray(grey(16, 32)).save(buffer, "JPEG", exif=exif)
    data = bytearray(buffer.getvalue())
    start = data.index(b"Exif") + 6
    for at, value in changes:
        if start + at < data.index(b"\xff\xdb"):
            data[start + at] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jpg"
        path.write_bytes(data)
        with open_stack(path) as stack:
            assert {stack.height, stack.width} == {16, 32}


def test_arrays_with_one_channel_at_the_end_are_no_rows_of_pages(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 200, (5, 24, 32, 1)).astype(np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    np.save(tmp_path / "b.npy", pixels[0])
    for name, pages in (("a", pixels[..., 0]), ("b", pixels[:1, ..., 0])):
        for labels in (False, True):
            with open_stack(tmp_path / f"{name}.npy", labels=labels) as stack:
                assert (stack.num_planes, stack.height, stack.width) == (len(pages), 24, 32)
                np.testing.assert_array_equal(stack.read(stack.num_planes - 1, 0, 0, 24, 32)[0], pages[-1])
