"""A user's own images: what is read, left out, decided about labels, and refused."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from unet_repro.data.labels import IGNORED
from unet_repro.data.sources.folder import Folder
from unet_repro.errors import DataError

Array = np.ndarray[Any, Any]


def noise(*shape: int, dtype: type[np.generic] = np.uint8, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def disc(shape: tuple[int, int] = (12, 16), value: int = 255) -> Array:
    mask = np.zeros(shape, np.uint8)
    mask[2:6, 2:6] = value
    return mask


def write(path: Path, pixels: Array, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        assert cv2.imwrite(str(path), pixels)
    else:
        tifffile.imwrite(path, pixels, **options)
    return path


def write_pages(path: Path, pages: list[Array]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwritemulti(str(path), pages)
    return path


def fill(root: Path, names: tuple[str, ...] = ("a2.png", "a10.png", "a1.tif")) -> Path:
    for i, name in enumerate(names):
        write(root / "images" / name, noise(12, 16, seed=i))
        write(root / "labels" / f"{Path(name).stem}.png", disc())
    return root


def test_own_images_come_in_natural_order_and_paired_by_stem(tmp_path: Path) -> None:
    samples = Folder(root=fill(tmp_path)).samples()
    assert [sample.key for sample in samples] == ["a1", "a2", "a10"]
    assert {(sample.sequence, sample.part) for sample in samples} == {("images", "train")}
    np.testing.assert_array_equal(samples[1].image, noise(12, 16, seed=0))
    np.testing.assert_array_equal(samples[1].labels, disc(value=1))


def test_every_page_is_a_sample_and_the_file_its_sequence(tmp_path: Path) -> None:
    fill(tmp_path, ("single.png",))
    write_pages(tmp_path / "images/stack.tif", [noise(12, 16, seed=i) for i in range(3)])
    write_pages(tmp_path / "labels/stack.tif", [disc()] * 3)
    samples = Folder(root=tmp_path).samples()
    assert [(sample.key, sample.sequence) for sample in samples] == [
        ("single", "images"),
        ("stack/000", "stack"),
        ("stack/001", "stack"),
        ("stack/002", "stack"),
    ]


@pytest.mark.parametrize("with_labels", [True, False])
def test_a_test_part_may_come_without_truth(tmp_path: Path, with_labels: bool) -> None:
    fill(tmp_path)
    fill(tmp_path / "test", ("a1.png",))
    if not with_labels:
        (tmp_path / "test/labels/a1.png").unlink()
        (tmp_path / "test/labels").rmdir()
    last = Folder(root=tmp_path).samples()[-1]
    assert (last.key, last.sequence, last.part) == ("test/a1", "test/images", "test")
    assert (last.labels is not None) == with_labels


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("auto", [0, 255, 0, 255], [0, 1, 0, 2]),
        ("binary", [0, 7, 0, 7], [0, 1, 0, 2]),
        ("instances", [0, 7, 0, 7], [0, 7, 0, 7]),
        ("auto", [0, 7, 0, 9], [0, 7, 0, 9]),
    ],
)
def test_label_values_mean_what_the_user_says(
    tmp_path: Path, kind: Any, values: list[int], expected: list[int]
) -> None:
    write(tmp_path / "images/a.png", noise(1, 4))
    write(tmp_path / "labels/a.png", np.array([values], np.uint8))
    labels = Folder(root=tmp_path, labels=kind).samples()[0].labels
    assert labels is not None
    assert labels.dtype == np.int32
    assert labels.tolist() == [expected]


def test_the_kind_of_labels_is_that_of_the_whole_set(tmp_path: Path) -> None:
    for name, values in (("a", [0, 5, 0, 5]), ("b", [0, 6, 0, 6])):
        write(tmp_path / f"images/{name}.png", noise(1, 4))
        write(tmp_path / f"labels/{name}.png", np.array([values], np.uint8))
    with pytest.raises(DataError, match="values 5, 6 form 2.0 separate pieces"):
        Folder(root=tmp_path).samples()


def _no_labels(root: Path) -> None:
    for path in (root / "labels").iterdir():
        path.unlink()


def _all_labels(root: Path, value: int) -> None:
    for path in (root / "labels").iterdir():
        write(path, np.full((12, 16), value, np.uint8))


def _move_away(root: Path) -> None:
    (root / "images").rename(root / "imgs")


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (_move_away, "folder .*images is missing"),
        (_no_labels, "no image file in .*labels"),
        (lambda root: (root / "labels/a2.png").unlink(), r"1 image without a label .*images.a2\.png"),
        (lambda root: write(root / "labels/b.png", disc()), r"1 label without an image .*labels.b\.png"),
        (lambda root: write(root / "images/a2.tif", noise(12, 16)), "several files named a2"),
        (lambda root: (root / "images/b.jpg").write_bytes(b""), r"1 image without a label .*images.b\.jpg"),
        (lambda root: (root / "images/a2.png").write_bytes(b""), r"a2\.png cannot be read"),
        (lambda root: write(root / "labels/a2.png", disc((12, 17))), r"a2\.png has 12 x 16 pixels, .* has 12 x 17"),
        (lambda root: write_pages(root / "images/a1.tif", [noise(12, 16)] * 2), r"2 pages, its label .*has 1"),
        (lambda root: write(root / "images/a2.png", noise(12, 16, 3)), r"differ in kind: .*grey.*a2\.png is RGB"),
        (lambda root: write(root / "images/a2.png", noise(12, 16, dtype=np.uint16)), "differ in kind: .*uint16"),
        (lambda root: _all_labels(root, 0), "3 labels .* only background"),
        (lambda root: _all_labels(root, 1), "3 labels .* only foreground"),
        (lambda root: write(root / "images/a2.png", np.zeros((12, 16), np.uint8)), r"a2\.png is constant"),
        (lambda root: (root / "test").mkdir(), "folder .*test.images is missing"),
    ],
)
def test_a_folder_that_cannot_be_learned_from_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], match: str
) -> None:
    damage(fill(tmp_path))
    with pytest.raises(DataError, match=match) as caught:
        Folder(root=tmp_path).samples()
    assert caught.value.hint


def test_two_samples_of_one_key_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, ("a.png",))
    write_pages(tmp_path / "images/test.tif", [noise(12, 16)] * 2)
    write_pages(tmp_path / "labels/test.tif", [disc()] * 2)
    fill(tmp_path / "test", ("001.png",))
    with pytest.raises(DataError, match="same name: test/001"):
        Folder(root=tmp_path).samples()


def test_labels_that_are_not_binary_are_refused_as_binary(tmp_path: Path) -> None:
    fill(tmp_path)
    write(tmp_path / "labels/a2.png", disc(value=7))
    with pytest.raises(DataError, match=r"3 values \(0, 7, 255"):
        Folder(root=tmp_path, labels="binary").samples()


def test_many_unpaired_files_are_counted_and_five_are_named(tmp_path: Path) -> None:
    fill(tmp_path, tuple(f"a{i}.png" for i in range(9)))
    for i in range(8):
        (tmp_path / f"labels/a{i}.png").unlink()
    with pytest.raises(DataError, match="8 images without a label") as caught:
        Folder(root=tmp_path).samples()
    assert caught.value.what.count(".png") == 5


def test_a_missing_root_and_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is missing"):
        Folder(root=tmp_path / "nowhere").samples()
    with pytest.raises(DataError, match="unknown labels 'masks'"):
        Folder(root=tmp_path, labels="masks")  # type: ignore[arg-type]


def test_what_was_decided_and_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    (tmp_path / "images/Thumbs.db").write_bytes(b"x")
    (tmp_path / "labels/notes.txt").write_text("x")
    source = Folder(root=tmp_path)
    source.samples()
    decided, images, labels = source.notes
    assert "masks: 0 and one other value (255 in 3 images)" in decided
    assert "Thumbs.db" in images
    assert "notes.txt" in labels
    assert capsys.readouterr().err == "".join(f"note: {each}\n" for each in source.notes)


@pytest.mark.parametrize(("ignore", "kept"), [(None, [1, 3]), (9, [1])])
def test_pages_of_a_stack_without_any_label_are_left_out_and_named(
    tmp_path: Path, ignore: int | None, kept: list[int]
) -> None:
    pages = [np.zeros((12, 16), np.uint8), disc(), np.zeros((12, 16), np.uint8), disc(value=9)]
    pages[1][8:10, 2:6] = 255
    write_pages(tmp_path / "images/s.tif", [noise(12, 16, seed=i) for i in range(4)])
    write_pages(tmp_path / "labels/s.tif", pages)
    source = Folder(root=tmp_path, labels="instances", ignore=ignore)
    assert [sample.key for sample in source.samples()] == [f"s/{page:03d}" for page in kept]
    assert f"{4 - len(kept)} pages without any label left out" in source.notes[-1]
    assert "s/000" in source.notes[-1]


def test_pages_of_a_test_stack_without_any_label_are_left_out_too(tmp_path: Path) -> None:
    fill(tmp_path, ("a.png", "b.png"))
    write_pages(tmp_path / "test/images/s.tif", [noise(12, 16, seed=i) for i in range(3)])
    write_pages(tmp_path / "test/labels/s.tif", [np.zeros((12, 16), np.uint8), disc(), np.zeros((12, 16), np.uint8)])
    source = Folder(root=tmp_path)
    assert [sample.key for sample in source.samples() if sample.part == "test"] == ["test/s/001"]
    assert "2 pages without any label left out" in source.notes[-1]


def test_a_single_image_without_objects_and_a_blank_stack_among_others_stay(tmp_path: Path) -> None:
    fill(tmp_path, ("a.png", "b.png"))
    write(tmp_path / "labels/b.png", np.zeros((12, 16), np.uint8))
    write_pages(tmp_path / "images/s.tif", [noise(12, 16, seed=i) for i in range(2)])
    write_pages(tmp_path / "labels/s.tif", [np.zeros((12, 16), np.uint8)] * 2)
    assert len(Folder(root=tmp_path).samples()) == 4


# --- kinds of label files, through the reader ------------------------------------------------------------------------


def scenes() -> list[Array]:
    """Numbers of 4 x 4 objects; images have different ones."""
    pages = []
    for index in range(3):
        page = np.zeros((40, 48), np.int32)
        for number in range(1, 7 + 3 * index):
            row, column = divmod(number - 1, 8)
            page[2 + 6 * row : 6 + 6 * row, 1 + 6 * column : 5 + 6 * column] = number
        pages.append(page)
    return pages


def dataset(root: Path, suffix: str, write_label: Callable[[Path, Array], object]) -> Path:
    for index, page in enumerate(scenes()):
        write(root / f"images/{index}.tif", noise(*page.shape, seed=index))
        (root / "labels").mkdir(exist_ok=True)
        write_label(root / f"labels/{index}{suffix}", page)
    return root


def _palette_png(path: Path, page: Array) -> None:
    image = Image.frombytes("P", page.shape[::-1], page.astype(np.uint8).tobytes())
    image.putpalette(noise(768, seed=5).tobytes())
    image.save(path)


def _palette_tiff(path: Path, page: Array) -> None:
    colours = noise(3, 256, dtype=np.uint16, seed=5)
    tifffile.imwrite(path, page.astype(np.uint8), photometric="palette", colormap=colours)


def _bilevel(zero_is_white: bool) -> Callable[[Path, Array], None]:
    def write_label(path: Path, page: Array) -> None:
        Image.fromarray(page > 0).save(path, tiffinfo={262: 0 if zero_is_white else 1})

    return write_label


def _white_is_zero(path: Path, page: Array) -> None:
    tifffile.imwrite(path, np.where(page > 0, 0, 255).astype(np.uint8), photometric="miniswhite")


def _jpeg_in_png(path: Path, page: Array) -> None:
    file = io.BytesIO()
    Image.fromarray(((page > 0) * 255).astype(np.uint8)).save(file, "JPEG", quality=75)
    Image.open(file).save(path)


def _jpeg(path: Path, page: Array) -> None:
    Image.fromarray(((page > 0) * 255).astype(np.uint8)).save(path, quality=75)


def _grey_as_colours(path: Path, page: Array) -> None:
    write(path, np.dstack([np.where(page > 0, 255, 0).astype(np.uint8)] * 3))


@pytest.mark.parametrize(
    ("suffix", "write_label"),
    [
        pytest.param(".png", _palette_png, id="palette PNG"),
        pytest.param(".tif", _palette_tiff, id="palette TIFF"),
        pytest.param(".tif", _bilevel(zero_is_white=True), id="1 bit, white is zero"),
        pytest.param(".tif", _bilevel(zero_is_white=False), id="1 bit"),
        pytest.param(".tif", _white_is_zero, id="8 bit, white is zero"),
        pytest.param(".png", _jpeg_in_png, id="PNG that was a JPEG"),
        pytest.param(".jpg", _jpeg, id="JPEG"),
        pytest.param(".png", _grey_as_colours, id="grey as colours"),
        pytest.param("_mask.png", lambda path, page: write(path, page.astype(np.uint16)), id="_mask"),
        pytest.param(".npy", np.save, id="NumPy"),
    ],
)
def test_labels_are_what_every_viewer_shows(
    tmp_path: Path, suffix: str, write_label: Callable[[Path, Array], object]
) -> None:
    samples = Folder(root=dataset(tmp_path, suffix, write_label)).samples()
    for sample, page in zip(samples, scenes(), strict=True):
        assert sample.labels is not None
        assert sample.classes is None
        if "jp" in write_label.__name__:
            assert ((sample.labels > 0) == (page > 0)).mean() > 0.99
        else:
            np.testing.assert_array_equal(sample.labels, page)


def test_classes_and_ignored_pixels_come_with_the_samples(tmp_path: Path) -> None:
    values = np.array([0, 1, 2, 255], np.uint8)

    def write_label(path: Path, page: Array) -> None:
        classes = np.where(page > 0, 1 + page % 2, 0)
        classes[36:] = 3
        write(path, values[classes])

    source = Folder(root=dataset(tmp_path, ".png", write_label), classes=("background", "nucleus", "cytoplasm"))
    samples = source.samples()
    assert source.class_names == ("background", "nucleus", "cytoplasm")
    for sample, page in zip(samples, scenes(), strict=True):
        assert sample.labels is not None
        assert sample.classes is not None
        np.testing.assert_array_equal(sample.classes[:36], np.where(page > 0, 1 + page % 2, 0)[:36])
        assert (sample.classes[36:] == IGNORED).all()
        assert sample.labels.max() == page[:36].max()


def test_channels_are_chosen(tmp_path: Path) -> None:
    stack = noise(3, 12, 16)
    write(tmp_path / "images/a.tif", stack, imagej=True, metadata={"axes": "CYX"})
    write(tmp_path / "labels/a.png", disc())
    np.testing.assert_array_equal(Folder(root=tmp_path, channels=(2, 0)).samples()[0].image, stack[[2, 0]])


def square(left: int, top: int, side: int = 4) -> list[list[int]]:
    return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]


def drawn(at: list[tuple[int, int]]) -> dict[str, Any]:
    features = [
        {
            "geometry": {"type": "Polygon", "coordinates": [square(*corner)]},
            "properties": {"classification": {"name": "nucleus" if i == 0 else "debris"}},
        }
        for i, corner in enumerate(at)
    ]
    return {"type": "FeatureCollection", "features": features}


def test_labels_may_be_drawn_objects_or_label_images(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"images/{name}.tif", noise(12, 16, seed=ord(name)))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.geojson").write_text(json.dumps(drawn([(1, 1), (8, 6)])))
    coco = {
        "images": [{"id": number, "file_name": f"{name}.png"} for number, name in enumerate("bcd")],
        "annotations": [
            {"image_id": number, "segmentation": [np.ravel(square(number + 2, 3)).tolist()]} for number in range(3)
        ],
    }
    (tmp_path / "labels/coco.json").write_text(json.dumps(coco))
    source = Folder(root=tmp_path)
    labels = [sample.labels for sample in source.samples()]
    expected = np.zeros((12, 16), np.int32)
    expected[1:5, 1:5], expected[6:10, 8:12] = 1, 2
    np.testing.assert_array_equal(labels[0], expected)
    for number in (0, 1):
        expected = np.zeros((12, 16), np.int32)
        expected[3:7, number + 2 : number + 6] = 1
        np.testing.assert_array_equal(labels[number + 1], expected)
    assert any("coco.json also annotates 1 image not found in the folder: d" in note for note in source.notes)
    assert not any("skipped" in note for note in source.notes)


def test_drawn_classes_need_their_names(tmp_path: Path) -> None:
    write(tmp_path / "images/a.tif", noise(12, 16))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.geojson").write_text(json.dumps(drawn([(1, 1), (8, 6)])))
    sample = Folder(root=tmp_path, labels="classes", classes=("background", "nucleus", "debris")).samples()[0]
    assert sample.classes is not None
    assert (sample.classes[2, 2], sample.classes[7, 9], sample.classes[0, 0]) == (1, 2, 0)
    with pytest.raises(DataError, match="no numbers of their classes"):
        Folder(root=tmp_path, labels="classes").samples()


def test_channels_and_white_is_zero_are_taken_as_set(tmp_path: Path) -> None:
    two = noise(2, 12, 16)
    path = tmp_path / "images/a.tif"
    write(path, two, imagej=True, metadata={"axes": "CYX", "Labels": ["DAPI", "GFP"]})
    write(tmp_path / "labels/a.tif", 255 - disc(), photometric="miniswhite")
    for channels in ([1], 1, "gfp", ("GFP",)):
        sample = Folder(root=tmp_path, channels=channels).samples()[0]
        np.testing.assert_array_equal(sample.image, two[1])
        np.testing.assert_array_equal(sample.labels, disc(value=1))
    np.testing.assert_array_equal(Folder(root=tmp_path).samples()[0].image, two)
    raw = Folder(root=tmp_path, raw=True).samples()[0].labels
    np.testing.assert_array_equal(raw, 1 - disc(value=1))


def _classes_as_jpeg(root: Path, values: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for path in (root / "labels").iterdir():
        path.unlink()
    for path in (root / "images").iterdir():
        write(path, noise(60, 72))
        classes = np.kron(rng.integers(0, len(values), (5, 6)), np.ones((12, 12), np.int64))
        Image.fromarray(np.array(values, np.uint8)[classes]).save(root / f"labels/{path.stem}.jpg", quality=90)


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 127, 255)])
def test_classes_that_went_through_jpeg_are_refused(tmp_path: Path, values: tuple[int, ...]) -> None:
    _classes_as_jpeg(fill(tmp_path), values)
    with pytest.raises(DataError, match="JPEG") as caught:
        Folder(root=tmp_path).samples()
    assert "PNG or TIFF" in caught.value.hint


def test_black_and_white_masks_survive_jpeg(tmp_path: Path) -> None:
    _classes_as_jpeg(fill(tmp_path), (0, 255))
    source = Folder(root=tmp_path)
    source.samples()
    assert "labels are masks" in source.notes[0]


@pytest.mark.parametrize(
    ("arrange", "what", "hint"),
    [
        (_move_away, "contains imgs, labels", "must contain images"),
        (lambda root: (root / "labels").rename(root / "masks"), "contains images, masks", "must contain labels"),
        (lambda root: (root / "images").rename(root / "Images"), "contains Images, labels", "must contain images"),
        (lambda root: _inside(root, "exp 1"), "contains exp 1", "data.root=.*exp 1"),
        (
            lambda root: _replace_labels(root, "a2.gif"),
            r"no image file in .*labels, only a2\.gif \(\.gif",
            "names of the images",
        ),
    ],
    ids=["moved", "masks", "capital", "one level up", "gif"],
)
def test_a_folder_that_is_arranged_otherwise_is_described(
    tmp_path: Path, arrange: Callable[[Path], object], what: str, hint: str
) -> None:
    arrange(fill(tmp_path))
    with pytest.raises(DataError, match=what) as caught:
        Folder(root=tmp_path).samples()
    assert re.search(hint, caught.value.hint)


def _inside(root: Path, name: str) -> None:
    (root / name).mkdir()
    for part in ("images", "labels"):
        (root / part).rename(root / name / part)


def _replace_labels(root: Path, name: str) -> None:
    for path in (root / "labels").iterdir():
        path.unlink()
    (root / "labels" / name).write_bytes(b"GIF89a")


def test_stacks_with_axes_in_another_order_than_their_labels_are_refused(tmp_path: Path) -> None:
    image, label = noise(2, 3, 12, 16), np.zeros((3, 2, 12, 16), np.uint8)
    label[..., 2:6, 2:6] = 255
    write(tmp_path / "images/a.tif", image, imagej=True, metadata={"axes": "TZYX"})
    write(tmp_path / "labels/a.ome.tif", label, metadata={"axes": "ZTYX"})
    with pytest.raises(DataError, match="in the order 2 T then 3 Z, .* in the order 3 Z then 2 T"):
        Folder(root=tmp_path).samples()
    write(tmp_path / "labels/a.ome.tif", label.swapaxes(0, 1), metadata={"axes": "TZYX"})
    assert len(Folder(root=tmp_path).samples()) == 6


def test_black_pages_of_a_stack_are_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages, masks = noise(4, 12, 16), np.stack([disc()] * 4)
    pages[1] = 7
    write(tmp_path / "images/a.tif", pages, photometric="minisblack")
    write(tmp_path / "labels/a.tif", masks, photometric="minisblack")
    assert [one.key for one in Folder(root=tmp_path).samples()] == ["a/000", "a/002", "a/003"]
    assert "left out 1 page of which every pixel is equal: a/001" in capsys.readouterr().err
    write(tmp_path / "images/a.tif", np.full((4, 12, 16), 7, np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=r"page 0 of .*a\.tif is constant"):
        Folder(root=tmp_path).samples()


def test_both_sides_of_names_that_do_not_pair_are_named(tmp_path: Path) -> None:
    fill(tmp_path, ("a.png",))
    (tmp_path / "labels/a.png").rename(tmp_path / "labels/b-17.png")
    with pytest.raises(DataError, match=r"1 image without a label .*a\.png; 1 label without an image .*b-17\.png"):
        Folder(root=tmp_path).samples()


def test_labels_with_transparency_are_refused_with_a_hint_for_labels(tmp_path: Path) -> None:
    fill(tmp_path, ("a.png",))
    mask = disc()
    Image.fromarray(np.dstack([mask] * 4)).save(tmp_path / "labels/a.png")
    with pytest.raises(DataError, match="transparency") as caught:
        Folder(root=tmp_path).samples()
    assert "channels=" not in caught.value.hint
