"""Readers of image files and of the three kinds of data sets."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_repro.data.read import read_image, read_label_pages, read_labels, read_pages
from unet_repro.data.sources.cell_tracking import CellTracking
from unet_repro.data.sources.isbi2012 import Isbi2012
from unet_repro.errors import DataError

Array = np.ndarray[Any, Any]

real = pytest.mark.skipif("UNET_REPRO_DATA" not in os.environ, reason="needs the public data in UNET_REPRO_DATA")


def noise(*shape: int, dtype: type[np.generic] = np.uint8, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def disc(shape: tuple[int, int] = (12, 16), value: int = 255) -> Array:
    mask = np.zeros(shape, np.uint8)
    mask[2:6, 2:6] = value
    return mask


def write(path: Path, pixels: Array, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 and pixels.shape[-1] == 3 else pixels)
    else:
        tifffile.imwrite(path, pixels, **options)
    return path


def write_pages(path: Path, pages: list[Array], compression: int = cv2.IMWRITE_TIFF_COMPRESSION_LZW) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwritemulti(str(path), pages, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    return path


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_images_come_as_stored(tmp_path: Path, suffix: str, dtype: type[np.generic]) -> None:
    pixels = noise(12, 16, dtype=dtype)
    image = read_image(write(tmp_path / f"a{suffix}", pixels))
    assert image.dtype == dtype
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_come_first_and_in_the_order_red_green_blue(
    tmp_path: Path, suffix: str, dtype: type[np.generic]
) -> None:
    pixels = noise(12, 16, 3, dtype=dtype)
    options = {} if suffix == ".png" else {"photometric": "rgb"}
    image = read_image(write(tmp_path / f"a{suffix}", pixels, **options))
    assert image.dtype == dtype
    np.testing.assert_array_equal(image, pixels.transpose(2, 0, 1))


def test_colours_of_an_lzw_tiff_are_in_the_same_order(tmp_path: Path) -> None:
    pixels = noise(12, 16, 3)
    path = write_pages(tmp_path / "a.tif", [np.ascontiguousarray(pixels[..., ::-1])])
    np.testing.assert_array_equal(read_image(path), pixels.transpose(2, 0, 1))


def test_planar_colours_are_colours(tmp_path: Path) -> None:
    pixels = noise(3, 12, 16)
    path = write(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(path), pixels)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16])
def test_what_float32_can_hold_comes_as_float32(tmp_path: Path, dtype: type[np.generic]) -> None:
    pixels = noise(12, 16, dtype=dtype)
    image = read_image(write(tmp_path / "a.tif", pixels))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, pixels)


def test_big_endian_pixels_keep_their_type(tmp_path: Path) -> None:
    pixels = noise(12, 16, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=">")
    image = read_image(tmp_path / "a.tif")
    assert image.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("compression", [cv2.IMWRITE_TIFF_COMPRESSION_NONE, cv2.IMWRITE_TIFF_COMPRESSION_LZW])
def test_every_page_comes_in_order(tmp_path: Path, compression: int) -> None:
    pages = [noise(12, 16, seed=seed) for seed in range(12)]
    np.testing.assert_array_equal(read_pages(write_pages(tmp_path / "a.tif", pages, compression)), pages)


def test_a_volume_is_pages(tmp_path: Path) -> None:
    volume = noise(5, 12, 16)
    np.testing.assert_array_equal(read_pages(write(tmp_path / "a.tif", volume)), volume)
    with pytest.raises(DataError, match="5 pages, expected one"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("kind", ["png", "one page", "plain pages", "lzw pages", "volume"])
def test_a_truncated_file_is_never_read_as_a_shorter_one(tmp_path: Path, kind: str, share: float) -> None:
    pages = [noise(40, 48, seed=seed) for seed in range(6)]
    path = tmp_path / ("a.png" if kind == "png" else "a.tif")
    if kind == "plain pages":
        write_pages(path, pages, cv2.IMWRITE_TIFF_COMPRESSION_NONE)
    elif kind == "lzw pages":
        write_pages(path, pages)
    else:
        write(path, np.stack(pages) if kind == "volume" else pages[0])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_pages(path)


@settings(deadline=None)
@given(at=st.integers(min_value=0, max_value=10_000), bit=st.integers(min_value=0, max_value=7))
def test_no_flipped_bit_in_a_png_goes_unnoticed(at: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write(tmp_path_factory.mktemp("bits") / "a.png", noise(40, 48))
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_image(path)


@pytest.mark.parametrize(
    ("pixels", "match"),
    [
        (np.full((12, 16), 7, np.uint8), "constant: every pixel is 7"),
        (np.where(np.eye(12), np.nan, 1).astype(np.float32), "NaN or infinite"),
        (np.where(np.eye(12), np.inf, 1).astype(np.float32), "NaN or infinite"),
        (noise(12, 16, dtype=np.int32), "is int32, expected 8 or 16 bit"),
    ],
)
def test_unusable_pixels_are_refused(tmp_path: Path, pixels: Array, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read_image(write(tmp_path / "a.tif", pixels))


def test_transparency_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="4 channels"):
        read_image(write(tmp_path / "a.png", noise(12, 16, 4)))


def test_separate_channels_come_first(tmp_path: Path) -> None:
    volume = noise(5, 2, 12, 16)
    path = write(tmp_path / "a.tif", volume, imagej=True, metadata={"axes": "ZCYX"})
    np.testing.assert_array_equal(read_pages(path), volume)


def test_pages_of_different_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="differ in shape or type"):
        read_pages(write_pages(tmp_path / "a.tif", [noise(12, 16), noise(12, 18)]))


def test_a_missing_file_and_another_format_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        read_image(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"")
    with pytest.raises(DataError, match="unsupported format"):
        read_image(tmp_path / "a.txt")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_labels_keep_their_numbers(tmp_path: Path, dtype: type[np.generic]) -> None:
    ids = np.array([[0, 3], [70, 201]]).astype(dtype)
    labels = read_labels(write(tmp_path / "a.tif", ids))
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, ids)


@pytest.mark.parametrize(
    ("pixels", "match"),
    [
        (np.array([[0, -1]], np.int16), "values from -1 to 0"),
        (np.array([[0, 2**31]], np.uint32), "values from 0 to 2147483648"),
        (np.array([[0, 0.5]], np.float32), "fractional"),
        (np.array([[0, np.nan]], np.float32), "has NaN"),
    ],
)
def test_values_that_are_no_labels_are_refused(tmp_path: Path, pixels: Array, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read_labels(write(tmp_path / "a.tif", pixels))


def test_a_negative_value_to_ignore_is_kept_and_otherwise_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.array([[0, -1], [3, 0]], np.int16))
    (page,) = read_label_pages(path, ignore=-1)
    np.testing.assert_array_equal(page, [[0, -1], [3, 0]])
    with pytest.raises(DataError) as caught:
        read_label_pages(path)
    assert "data.ignore=-1" in caught.value.hint
    with pytest.raises(DataError, match="values from 0 to 4294967295"):
        read_label_pages(write(tmp_path / "b.tif", np.array([[0, 2**32 - 1]], np.uint32)), ignore=2**32 - 1)


def test_coloured_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 channels"):
        read_label_pages(write(tmp_path / "a.png", noise(12, 16, 3)))


# --- ISBI 2012 -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def em_template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("em")
    for i in range(30):
        for folder in ("train/image", "test/image"):
            write(root / folder / f"{i}.png", noise(12, 16, seed=i))
        write(root / "train/label" / f"{i}.png", disc())
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.png")}


@pytest.fixture
def em(em_template: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in em_template.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_em_slices_come_in_the_order_of_the_stack(em: Path) -> None:
    samples = Isbi2012(root=em).samples()
    assert [sample.key for sample in samples] == [f"{part}/{i:02d}" for part in ("train", "test") for i in range(30)]
    for i in (0, 2, 10, 29):
        np.testing.assert_array_equal(samples[i].image, noise(12, 16, seed=i))
    assert {(sample.part, sample.sequence, sample.labels is None) for sample in samples} == {
        ("train", "train", False),
        ("test", "test", True),
    }
    np.testing.assert_array_equal(samples[0].labels, disc(value=1))


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda root: (root / "train/label/11.png").unlink(), r"1 of 90 files .*11\.png"),
        (lambda root: write(root / "train/label/3.png", disc(value=254)), "expected 0 .membrane. and 255"),
        (lambda root: write(root / "train/image/3.png", noise(13, 16)), "expected one size"),
        (lambda root: write(root / "test/image/3.png", noise(12, 16, 3)), "in grey"),
    ],
)
def test_a_damaged_em_stack_is_refused(em: Path, damage: Callable[[Path], object], match: str) -> None:
    damage(em)
    with pytest.raises(DataError, match=match):
        Isbi2012(root=em).samples()


# --- Cell Tracking Challenge ---------------------------------------------------------------------------------------


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    for sequence in ("01", "02"):
        for i in range(4):
            write(tmp_path / sequence / f"t{i:03d}.tif", noise(12, 16, seed=i))
            write(tmp_path / f"{sequence}_ST/SEG/man_seg{i:03d}.tif", disc(value=40 + i).astype(np.uint16))
        write(tmp_path / f"{sequence}_GT/SEG/man_seg002.tif", disc(value=9).astype(np.uint16))
    return tmp_path


def test_silver_truth_is_on_every_frame_with_its_numbers(cells: Path) -> None:
    samples = CellTracking(name="DIC-C2DH-HeLa", root=cells).samples()
    assert [sample.key for sample in samples] == [f"{seq}/t{i:03d}" for seq in ("01", "02") for i in range(4)]
    assert [sample.sequence for sample in samples] == ["01"] * 4 + ["02"] * 4
    for i, sample in enumerate(samples):
        assert sample.part == "train"
        assert sample.labels is not None
        np.testing.assert_array_equal(sample.labels, disc(value=40 + i % 4))


def test_gold_truth_is_on_its_frames_only(cells: Path) -> None:
    samples = CellTracking(name="DIC-C2DH-HeLa", root=cells, masks="gold").samples()
    assert [sample.key for sample in samples if sample.labels is not None] == ["01/t002", "02/t002"]
    assert len(samples) == 8


@pytest.mark.parametrize(
    ("masks", "damage", "match"),
    [
        ("silver", lambda root: (root / "02_ST/SEG/man_seg001.tif").unlink(), "1 files .* missing: .*man_seg001"),
        ("gold", lambda root: (root / "01/t001.tif").unlink(), r"missing: .*01.t001\.tif"),
        ("gold", lambda root: (root / "01_GT/SEG/man_seg002.tif").rename(root / "01_GT/SEG/man_seg007.tif"), "t007"),
        ("gold", lambda root: (root / "02_GT/SEG/man_seg002.tif").unlink(), "no file man_segNNN"),
        ("silver", lambda root: write(root / "01/t002.tif", noise(12, 18)), "expected one size"),
    ],
)
def test_a_damaged_sequence_is_refused(cells: Path, masks: Any, damage: Callable[[Path], object], match: str) -> None:
    damage(cells)
    with pytest.raises(DataError, match=match):
        CellTracking(name="DIC-C2DH-HeLa", root=cells, masks=masks).samples()


def test_an_unknown_kind_of_masks_is_refused(cells: Path) -> None:
    with pytest.raises(DataError, match="unknown masks 'bronze'"):
        CellTracking(name="DIC-C2DH-HeLa", root=cells, masks="bronze")  # type: ignore[arg-type]


# --- the real data -------------------------------------------------------------------------------------------------


@real
def test_the_em_stack_has_thirty_labelled_and_thirty_unlabelled_slices() -> None:
    samples = Isbi2012().samples()
    labelled = [sample for sample in samples if sample.labels is not None]
    assert (len(samples), len(labelled)) == (60, 30)
    assert {sample.image.shape for sample in samples} == {(512, 512)}
    first = labelled[0].labels
    assert first is not None
    num_components, _ = cv2.connectedComponents((first > 0).astype(np.uint8), connectivity=4)
    assert first.max() == num_components - 1


@real
@pytest.mark.parametrize(
    ("name", "shape", "num_frames", "num_gold"),
    [("DIC-C2DH-HeLa", (512, 512), 84, (9, 9)), ("PhC-C2DH-U373", (520, 696), 115, (15, 19))],
)
def test_the_cell_sequences_have_their_gold_frames_and_numbers(
    name: Any, shape: tuple[int, int], num_frames: int, num_gold: tuple[int, int]
) -> None:
    source = CellTracking(name=name, masks="gold")
    samples = source.samples()
    assert len(samples) == 2 * num_frames
    assert {sample.image.shape for sample in samples} == {shape}
    for sequence, number in zip(("01", "02"), num_gold, strict=True):
        gold = [sample for sample in samples if sample.sequence == sequence and sample.labels is not None]
        assert len(gold) == number
        for sample in gold:
            path = source.root / f"{sequence}_GT" / "SEG" / f"man_seg{sample.key[-3:]}.tif"
            np.testing.assert_array_equal(sample.labels, cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


@real
def test_silver_truth_is_on_every_real_frame() -> None:
    samples = CellTracking(name="PhC-C2DH-U373").samples()
    assert all(sample.labels is not None and sample.labels.max() > 0 for sample in samples)
