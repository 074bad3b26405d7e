"""Images and label files of a folder are paired by the names that programs give them."""

import unicodedata
from pathlib import Path

import pytest

from unet_repro.data.sources.pairing import image_files, label_files, pair
from unet_repro.errors import DataError


def folders(root: Path, images: list[str], labels: list[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    for folder, names in (("images", images), ("labels", labels)):
        (root / folder).mkdir()
        for name in names:
            (root / folder / name).write_bytes(b"")
    found = image_files(root / "images")
    return found, label_files(root / "labels", found)[0]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a.tif", "a.png"),
        ("a.ome.tif", "a.tif"),
        ("a.tif", "a.ome.tiff"),
        ("a.tif", "a_mask.png"),
        ("a.tif", "a-labels.tif"),
        ("a.tif", "a_Label.tif"),
        ("a.tif", "a.seg.tif"),
        ("a.tif", "a_cp_masks.png"),
        ("a.tif", "mask_a.png"),
        ("a.tif", "a_RoiSet.zip"),
        ("a.tif", "a.geojson"),
        ("a_img.png", "a_mask.png"),
        ("a.b.tif", "a.b_seg.png"),
        ("T=37,0 (1).tif", "T=37,0 (1)_mask.tif"),
        (unicodedata.normalize("NFC", "Zellkörper.tif"), unicodedata.normalize("NFD", "Zellkörper_mask.tif")),
    ],
)
def test_a_label_has_the_name_of_its_image_with_usual_endings(tmp_path: Path, image: str, label: str) -> None:
    images, labels = folders(tmp_path, [image, "other.png"], ["other.png", label])
    assert [(one.name, two.name) for one, two in pair(images, labels)].count((image, label)) == 1


def test_an_image_that_ends_like_a_label_keeps_its_own_label(tmp_path: Path) -> None:
    images, labels = folders(tmp_path, ["a.png", "a_mask.png"], ["a.png", "a_mask.png"])
    assert all(one.name == two.name for one, two in pair(images, labels))


def test_two_labels_of_one_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has two labels, a\.png and a_mask\.png"):
        pair(*folders(tmp_path, ["a.tif"], ["a.png", "a_mask.png"]))


@pytest.mark.parametrize(
    ("images", "labels", "match"),
    [
        (["a.tif", "b.tif"], ["a.tif"], r"1 image without a label .*b\.tif"),
        (["a.tif"], ["a.tif", "c_mask.tif"], r"1 label without an image .*c_mask\.tif"),
    ],
)
def test_files_without_a_partner_are_named(tmp_path: Path, images: list[str], labels: list[str], match: str) -> None:
    with pytest.raises(DataError, match=match):
        pair(*folders(tmp_path, images, labels))


def test_files_that_differ_only_in_their_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="several files named a"):
        folders(tmp_path, ["a.tif", "a.ome.tif"], [])
