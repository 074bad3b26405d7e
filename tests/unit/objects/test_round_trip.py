"""Labels to GeoJSON and to ImageJ ROIs, and back by the readers of label files: the same objects, pixel by pixel."""

import csv
import json
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planes_of import blobs, plane_of

from unet_repro.data.drawn.read import read_drawn_labels
from unet_repro.objects import planes
from unet_repro.objects.measure import measure
from unet_repro.objects.outlines import outlines
from unet_repro.objects.rois import to_roi
from unet_repro.objects.write import ObjectStack, paths_of, write_objects


def there_and_back(labels, folder, extra, band_pixels=2_000_000):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes, "BAND_PIXELS", band_pixels)
        target = folder / "a.tif"
        write_objects(target, ObjectStack("a", lambda _: plane_of(labels)), frozenset([extra]))
    (found,), notes = read_drawn_labels(paths_of(target, extra), "a.tif", labels.shape, 1)
    return found, notes


def ious(labels, found):
    """IoU of each object with the one that covers most of it."""
    values = []
    for number in range(1, labels.max() + 1):
        own = labels == number
        other = found == np.bincount(found[own]).argmax()
        values.append((own & other).sum() / (own | other).sum())
    return np.array(values)


@pytest.mark.parametrize("extra", ["geojson", "rois"])
@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 60), st.integers(2, 60), st.floats(0.05, 0.9), st.integers(1, 500), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_objects_with_holes_and_shared_corners_come_back_exactly(  # noqa: PLR0917
    tmp_path_factory, extra, height, width, share, band_pixels, seed
):
    labels = blobs(height, width, share, seed)
    found, notes = there_and_back(labels, tmp_path_factory.mktemp("there"), extra, band_pixels)
    assert not notes
    values = ious(labels, found)
    assert (values >= 0.999).all()
    np.testing.assert_array_equal(found > 0, labels > 0)
    assert found.max() == labels.max()


@pytest.mark.parametrize("extra", ["geojson", "rois"])
def test_an_object_inside_the_hole_of_another(tmp_path, extra):
    labels = np.zeros((20, 20), np.int32)
    labels[2:18, 2:18] = 1
    labels[5:15, 5:15] = 0
    labels[8:12, 8:12] = 2
    found, _ = there_and_back(labels, tmp_path, extra)
    assert (ious(labels, found) == 1).all()


def test_parts_that_touch_by_a_corner_are_one_polygon_and_separate_parts_are_several():
    labels = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]], np.int32)
    (found,) = outlines(plane_of(labels), np.array([3]))
    assert [len(rings) for rings in found.polygons] == [1, 1]
    assert found.polygons[0][0].tolist() == [[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [1, 2], [1, 1], [0, 1]]


def test_a_hole_belongs_to_the_part_around_it():
    labels = np.zeros((12, 20), np.int32)
    labels[1:10, 1:8] = labels[2:8, 10:18] = 1
    labels[4:6, 3:5] = labels[3:5, 12:14] = 0
    (found,) = outlines(plane_of(labels), np.array([10]))
    inside = [[ring.min(0).tolist() for ring in rings] for rings in found.polygons]
    assert inside == [[[1, 1], [3, 4]], [[10, 2], [12, 3]]]


def area(ring):
    x, y = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_outer_rings_turn_one_way_and_holes_the_other():
    labels = blobs(50, 50, 0.7, 3)
    for outline in outlines(plane_of(labels), measure(plane_of(labels), int(labels.max())).box[:, 2]):
        (rings,) = outline.polygons
        assert area(rings[0]) > 0
        assert all(area(hole) < 0 for hole in rings[1:])
        assert sum(map(area, rings)) == (labels == outline.number).sum()


def test_every_ring_is_simple_so_that_qupath_takes_it():
    for seed in range(20):
        labels = blobs(40, 40, 0.6, seed)
        for outline in outlines(plane_of(labels), measure(plane_of(labels), int(labels.max())).box[:, 2]):
            for ring in outline.polygons[0]:
                assert len(np.unique(ring, axis=0)) == len(ring)


def test_coordinates_beyond_16_bit_are_kept(tmp_path):
    labels = np.zeros((2, 70_000), np.int32)
    labels[:, 40_000:69_000] = 1
    found, _ = there_and_back(labels, tmp_path, "rois")
    np.testing.assert_array_equal(found, labels)


def test_rois_of_a_stack_say_their_plane(tmp_path):
    stack = np.stack([blobs(30, 20, 0.3, seed) for seed in range(3)])
    target = tmp_path / "a.tif"
    planes_in_time = ObjectStack("a", lambda plane: plane_of(stack[plane]), (3,), "T")
    write_objects(target, planes_in_time, frozenset(["rois", "geojson"]))
    found, _ = read_drawn_labels(paths_of(target, "rois"), "a.tif", (30, 20), 3)
    for page, labels in zip(found, stack, strict=True):
        assert (ious(labels, page) == 1).all()
    features = json.loads(paths_of(target, "geojson").read_text())["features"]
    of_time = [feature["geometry"]["plane"]["t"] for feature in features]
    assert np.bincount(of_time).tolist() == [labels.max() for labels in stack]


def test_roifile_and_zipfile_agree_on_the_bytes(tmp_path):
    import roifile

    labels = blobs(60, 50, 0.5, 1)
    there_and_back(labels, tmp_path, "rois")
    with zipfile.ZipFile(tmp_path / "a.rois.zip") as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert file.testzip() is None
        assert file.namelist()[0] == "000001.roi"
    (outline, *_) = outlines(plane_of(labels), measure(plane_of(labels), int(labels.max())).box[:, 2])
    if len(outline.polygons[0]) == 1:
        roi = roifile.ImagejRoi.frombytes(to_roi(outline, 3))
        assert roi.position == 3
        np.testing.assert_array_equal(roi.coordinates(), outline.polygons[0][0])


def test_the_same_objects_give_the_same_bytes(tmp_path):
    labels = blobs(40, 40, 0.4, 0)
    for extra in ("geojson", "rois"):
        there_and_back(labels, tmp_path, extra)
        first = paths_of(tmp_path / "a.tif", extra).read_bytes()
        there_and_back(labels, tmp_path, extra)
        assert paths_of(tmp_path / "a.tif", extra).read_bytes() == first


def test_more_objects_than_16_bits_can_number_are_all_in_every_file(tmp_path):
    number = 257
    numbers = np.arange(1, number**2 + 1, dtype=np.int32).reshape(number, number)
    labels = np.kron(numbers, np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], np.int32))
    extras = frozenset(("table", "rois"))
    write_objects(tmp_path / "a.tif", ObjectStack("a.tif", lambda _: plane_of(labels)), extras)
    with (tmp_path / "a.objects.csv").open(newline="") as file:
        rows = [(int(row["id"]), float(row["area_px"])) for row in csv.DictReader(file)]
    assert rows == [(each, 3) for each in range(1, number**2 + 1)]
    with zipfile.ZipFile(tmp_path / "a.rois.zip") as rois:
        assert len(set(rois.namelist())) == number**2
        last = pytest.importorskip("roifile").ImagejRoi.frombytes(rois.read(rois.namelist()[-1]))
    assert (last.left, last.top) == (3 * number - 3, 3 * number - 3)
