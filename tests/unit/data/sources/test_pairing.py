"""Images and label files of a folder are paired by the names that programs give them."""

import unicodedata
from pathlib import Path

import pytest

from unet_repro.data.sources.pairing import image_files, label_files, pair
from unet_repro.errors import DataError


def folders(root: Path, images: list[str], labels: list[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    for folder, names in (("images", images), ("labels", labels)):
        (root / folder).mkdir(parents=True)
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
        ("img_1.tif", "mask_1.tif"),
        ("image1.png", "mask1.png"),
        ("orig_7.png", "7_binary.png"),
        ("x_input.png", "x_target.png"),
        ("a.tif", "a.tif.png"),
        ("a.jpg", "a.jpg_mask.png"),
        ("a.svs", "a.svs.geojson"),
        ("a.ome.tif", "a.ome.png"),
        ("A.tif", "a.png"),
        ("im_01.tif", "im_1.tif"),
        ("a.tif", "a .tif"),
        ("a.tif", "Mask of a.tif"),
        ("a.tif", "a_Simple Segmentation.png"),
        ("a.tif", "a-labeling.tif"),
        ("a.tif", "aMask.png"),
        ("a.tif", "a__mask.png"),
        ("a.tif", "a_labeled_mask.png"),
        ("21.tif", "21_manual1.png"),
        ("t001.tif", "man_seg001.tif"),
        ("case_3_0000.png", "case_3.png"),
        ("lab_mouse_1.tif", "lab_mouse_1_mask.tif"),
        ("raw_1.tif", "raw_1_mask.tif"),
        (unicodedata.normalize("NFC", "Zellkörper.tif"), unicodedata.normalize("NFD", "Zellkörper_mask.tif")),
    ],
)
def test_a_label_has_the_name_of_its_image_with_usual_endings(tmp_path: Path, image: str, label: str) -> None:
    images, labels = folders(tmp_path, [image, "other.png"], ["other.png", label])
    assert [(one.name, two.name) for one, two in pair(images, labels)].count((image, label)) == 1


def test_an_image_that_ends_like_a_label_keeps_its_own_label(tmp_path: Path) -> None:
    images, labels = folders(tmp_path, ["a.png", "a_mask.png"], ["a.png", "a_mask.png"])
    assert all(one.name == two.name for one, two in pair(images, labels))


def test_names_that_only_share_a_shorter_form_are_not_confused(tmp_path: Path) -> None:
    names = ["a_raw.png", "img_a.png", "a_01.png", "a_1.png"]
    images, labels = folders(tmp_path, names, names)
    assert all(one.name == two.name for one, two in pair(images, labels))
    images, labels = folders(tmp_path / "other", ["a_raw.png", "img_a.png"], ["a_mask.png", "img_a.png"])
    with pytest.raises(DataError, match=r"1 image without a label .*a_raw\.png"):
        pair(images, labels)


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
