"""Drawn objects of every kind of file become the label image that they were drawn from."""

import base64
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.draw import disk, ellipse

from unet_repro.data.drawn import read, roi_files
from unet_repro.data.drawn.read import images_of, read_drawn_labels
from unet_repro.data.drawn.shapes import Drawn
from unet_repro.errors import DataError

HW = (60, 80)


def discs(seed=0):
    rng, labels = np.random.default_rng(seed), np.zeros(HW, np.int32)
    for number in range(1, 30):
        rows, columns = disk((rng.integers(8, 52), rng.integers(8, 72)), rng.integers(3, 7))
        if not labels[rows, columns].any():
            labels[rows, columns] = number
    _, numbers = np.unique(labels, return_inverse=True)
    return numbers.reshape(HW).astype(np.int32)


def with_hole():
    labels = np.zeros(HW, np.int32)
    labels[5:40, 6:50] = 1
    labels[15:25, 20:30] = 0
    labels[18:22, 23:27] = 2
    return labels


def rings(mask):
    """Outlines along pixel edges, holes included, as closed loops of corners (x, y)."""
    padded = np.pad(mask, 1)
    steps = {}
    for row, column in np.argwhere(padded):
        for (dr, dc), start, end in (
            ((-1, 0), (0, 0), (1, 0)),
            ((0, 1), (1, 0), (1, 1)),
            ((1, 0), (1, 1), (0, 1)),
            ((0, -1), (0, 1), (0, 0)),
        ):
            if not padded[row + dr, column + dc]:
                x, y = column - 1, row - 1
                steps.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    loops = []
    while steps:
        loop = [next(iter(steps))]
        while True:
            following = steps[loop[-1]].pop()
            if not steps[loop[-1]]:
                del steps[loop[-1]]
            if following == loop[0]:
                break
            loop.append(following)
        loops.append([[int(x), int(y)] for x, y in loop])
    return loops


def objects(labels):
    return [rings(labels == number) for number in range(1, labels.max() + 1)]


def geojson(path, labels, kind="detection", names=None):
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in loops]},
            "properties": {"objectType": kind, **({"classification": {"name": names[i]}} if names else {})},
        }
        for i, loops in enumerate(objects(labels))
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def roi_zip(path, labels):
    roifile = pytest.importorskip("roifile")
    rois = []
    for number, loops in enumerate(objects(labels)):
        if len(loops) == 1:
            rois.append(roifile.ImagejRoi.frompoints(loops[0], name=f"{number}"))
        else:
            steps = [v for loop in loops for v in (0, *loop[0], *(w for p in loop[1:] for w in (1, *p)), 4)]
            roi = roifile.ImagejRoi(
                roitype=roifile.ROI_TYPE.RECT,
                name=f"{number}",
                shape_roi_size=len(steps),
                multi_coordinates=np.array(steps, np.float32),
            )
            (roi.left, roi.top), (roi.right, roi.bottom) = np.min(loops[0], 0), np.max(loops[0], 0)
            rois.append(roi)
    roifile.roiwrite(path, rois)


def labelme(path, labels):
    shapes = []
    for number in range(1, labels.max() + 1):
        (window,) = ndimage.find_objects((labels == number).astype(int))
        encoded = io.BytesIO()
        Image.fromarray((labels[window] == number).astype(np.uint8)).save(encoded, "png")
        shapes.append(
            {
                "label": "cell",
                "shape_type": "mask",
                "points": [[window[1].start, window[0].start], [window[1].stop - 1, window[0].stop - 1]],
                "mask": base64.b64encode(encoded.getvalue()).decode(),
            }
        )
    path.write_text(json.dumps({"shapes": shapes, "imageHeight": HW[0], "imageWidth": HW[1]}))


def labelme_polygons(path, labels):
    shapes = [{"label": "cell", "points": ring} for loops in objects(labels) for ring in loops]
    path.write_text(json.dumps({"shapes": shapes, "imageHeight": HW[0], "imageWidth": HW[1]}))


def counts_of(mask):
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [2]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


def compressed(counts):
    text = ""
    for number, count in enumerate(counts):
        left = int(count) - (int(counts[number - 2]) if number > 2 else 0)
        more = True
        while more:
            bits, left = left & 0x1F, left >> 5
            more = left != (-1 if bits & 0x10 else 0)
            text += chr((bits | (0x20 if more else 0)) + 48)
    return text


def coco(path, labels, form="polygons"):
    segmentations = []
    for number, loops in enumerate(objects(labels), 1):
        mask = labels == number
        segmentations.append(
            {
                "polygons": [[value for point in ring for value in point] for ring in loops],
                "counts": {"size": list(HW), "counts": counts_of(mask)},
                "compressed": {"size": list(HW), "counts": compressed(counts_of(mask))},
            }[form]
        )
    annotations = [{"image_id": 7, "category_id": 1, "segmentation": each} for each in segmentations]
    other = {"image_id": 8, "category_id": 1, "segmentation": [[0, 0, 9, 0, 9, 9]]}
    images = [{"id": 8, "file_name": "b.png"}, {"id": 7, "file_name": "sub/a.png", "height": HW[0], "width": HW[1]}]
    categories = [{"id": 1, "name": "cell"}]
    path.write_text(json.dumps({"images": images, "annotations": [other, *annotations], "categories": categories}))


WRITERS = {
    "geojson": ("a.geojson", geojson),
    "roi zip": ("a.zip", roi_zip),
    "labelme masks": ("a.json", labelme),
    "coco run lengths": ("a.json", lambda path, labels: coco(path, labels, "counts")),
    "coco compressed": ("a.json", lambda path, labels: coco(path, labels, "compressed")),
}
POLYGONS = {"labelme polygons": ("a.json", labelme_polygons), "coco polygons": ("a.json", coco)}


@pytest.mark.parametrize("kind", [*WRITERS, *POLYGONS])
@pytest.mark.parametrize("labels", [discs(0), discs(1), with_hole()], ids=["discs", "other discs", "hole"])
def test_labels_come_back_pixel_for_pixel(kind, labels, tmp_path):
    if kind in POLYGONS and (labels == with_hole()).all():
        pytest.skip("polygons of this format have no holes")
    name, write = (WRITERS | POLYGONS)[kind]
    write(tmp_path / name, labels)
    (found,), notes = read_drawn_labels(tmp_path / name, "a.png", HW, 1)
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == np.int32
    assert notes == []


def test_ellipses_and_rectangles_of_imagej(tmp_path):
    roifile = pytest.importorskip("roifile")
    box = {"left": 10, "top": 20, "right": 40, "bottom": 50}
    for kind in ("OVAL", "RECT"):
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE[kind], **box).tofile(tmp_path / f"{kind}.roi")
    expected = np.zeros(HW, np.int32)
    expected[20:50, 10:40] = 1
    np.testing.assert_array_equal(read_drawn_labels(tmp_path / "RECT.roi", "", HW, 1)[0][0], expected)
    (oval,), _ = read_drawn_labels(tmp_path / "OVAL.roi", "", HW, 1)
    wanted = np.zeros(HW, bool)
    wanted[ellipse(34.5, 24.5, 15, 15)] = True
    assert ((oval > 0) & wanted).sum() / ((oval > 0) | wanted).sum() > 0.995


def test_rois_of_a_stack_are_on_their_pages(tmp_path):
    roifile = pytest.importorskip("roifile")
    square = [[2, 2], [8, 2], [8, 8], [2, 8]]
    rois = [roifile.ImagejRoi.frompoints(square, position=page, name=f"{page}") for page in (2, 0)]
    roifile.roiwrite(tmp_path / "a.zip", rois)
    pages, _ = read_drawn_labels(tmp_path / "a.zip", "", HW, 3)
    assert [page[4, 4] for page in pages] == [2, 0, 1]


@pytest.mark.parametrize(
    ("position", "z", "t", "leading", "page"),
    [
        (0, 0, 0, [("T", 3)], None),
        (2, 0, 0, [("Q", 3)], 1),
        (0, 1, 3, [("T", 3)], 2),
        (0, 2, 1, [("T", 1), ("Z", 5)], 1),
        (0, 2, 3, [("T", 3), ("Z", 5)], 11),
        (0, 2, 3, [("Z", 5), ("T", 3)], 5),
    ],
)
def test_rois_of_a_hyperstack_are_at_their_depth_and_time(position, z, t, leading, page):
    roi = SimpleNamespace(position=position, z_position=z, t_position=t)
    assert roi_files._page(roi, leading) == page


def test_a_roi_at_a_position_that_the_image_lacks_is_refused():
    roi = SimpleNamespace(position=0, z_position=6, t_position=1)
    with pytest.raises(ValueError, match="which is not in an image of"):
        roi_files._page(roi, [("T", 3), ("Z", 5)])


def test_the_classes_of_objects_are_their_values_if_classes_are_given(tmp_path):
    labels = discs()
    names = ["nucleus" if number % 2 else "debris" for number in range(1, labels.max() + 1)]
    geojson(tmp_path / "a.geojson", labels, names=names)
    classes = ["background", "nucleus", "debris"]
    (found,), _ = read_drawn_labels(tmp_path / "a.geojson", "", HW, 1, classes)
    np.testing.assert_array_equal(found, np.where(labels == 0, 0, np.where(labels % 2 == 1, 1, 2)))
    with pytest.raises(DataError, match="objects of debris"):
        read_drawn_labels(tmp_path / "a.geojson", "", HW, 1, classes[:2])


def test_qupath_regions_around_detections_are_no_objects_and_alone_they_are(tmp_path):
    labels = discs()
    geojson(tmp_path / "a.geojson", labels)
    content = json.loads((tmp_path / "a.geojson").read_text())
    square = {"type": "Polygon", "coordinates": [[[0, 0], [80, 0], [80, 60], [0, 60]]]}
    region = {"type": "Feature", "geometry": square, "properties": {"objectType": "annotation"}}
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 3]}, "properties": {}}
    content["features"] += [region, point]
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    (found,), notes = read_drawn_labels(tmp_path / "a.geojson", "", HW, 1)
    np.testing.assert_array_equal(found, labels)
    assert len(notes) == 1
    assert "skipped 2 drawn objects (points" in notes[0]
    (tmp_path / "a.geojson").write_text(json.dumps([region]))
    assert read_drawn_labels(tmp_path / "a.geojson", "", HW, 1)[0][0].all()


def test_a_coco_file_names_its_images_and_other_files_are_of_one_image(tmp_path):
    coco(tmp_path / "a.json", discs())
    assert images_of(tmp_path / "a.json") == ["b", "a"]
    labelme(tmp_path / "b.json", discs())
    geojson(tmp_path / "c.geojson", discs())
    assert images_of(tmp_path / "b.json") is None
    assert images_of(tmp_path / "c.geojson") is None
    with pytest.raises(DataError, match=r"has no image c"):
        read_drawn_labels(tmp_path / "a.json", "c.png", HW, 1)


def test_an_object_under_others_is_reported(tmp_path):
    square = [[2, 2], [8, 2], [8, 8], [2, 8]]
    shapes = [{"label": "cell", "points": square}, {"label": "cell", "points": square}]
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes, "imageHeight": 60, "imageWidth": 80}))
    _, notes = read_drawn_labels(tmp_path / "a.json", "", HW, 1)
    assert "skipped 1 object that smaller ones cover" in notes[0]


def test_an_object_without_the_centre_of_a_pixel_is_skipped_with_a_note(tmp_path):
    shapes = [
        {"label": "cell", "points": [[2, 2], [8, 2], [8, 8], [2, 8]]},
        {"label": "cell", "points": [[20, 20], [20.2, 20], [20, 20.2]]},
    ]
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes, "imageHeight": 60, "imageWidth": 80}))
    (labels,), notes = read_drawn_labels(tmp_path / "a.json", "", HW, 1)
    assert np.unique(labels).tolist() == [0, 1]
    assert "skipped 1 object without the centre of any pixel" in notes[0]


def test_objects_on_pages_that_the_image_lacks_are_refused(tmp_path, monkeypatch):
    square = np.array([[2.0, 2], [8, 2], [8, 8], [2, 8]])
    drawn = [Drawn("", [[square]], page=page) for page in (0, 5)]
    monkeypatch.setattr(read, "_read", lambda path, name, leading: (drawn, 0, None))
    with pytest.raises(DataError, match="objects on page 6, but the image has 3 pages"):
        read_drawn_labels(tmp_path / "a.zip", "", HW, 3)
    with pytest.raises(DataError, match="objects on page 6, but the image has 1 page"):
        read_drawn_labels(tmp_path / "a.zip", "", HW, 1)
    drawn = [Drawn("", [[square]], page=5)]  # an image and its ROIs saved from one page of a stack
    assert read_drawn_labels(tmp_path / "a.zip", "", HW, 1)[0][0].any()


def test_objects_of_another_magnification_are_refused(tmp_path):
    geojson(tmp_path / "a.geojson", discs())
    with pytest.raises(DataError, match="lie outside of the image of 20 x 30"):
        read_drawn_labels(tmp_path / "a.geojson", "", (20, 30), 1)


def polygon(*points, label="cell"):
    return {"label": label, "points": list(points), "shape_type": "polygon"}


SQUARE = ([2, 2], [20, 2], [20, 20], [2, 20])


def test_objects_drawn_on_an_image_of_another_size_are_refused(tmp_path):
    labelme = {"shapes": [polygon(*SQUARE)], "imageHeight": 30, "imageWidth": 40}
    coco = {
        "images": [{"id": 1, "file_name": "a.tif", "height": 30, "width": 40}],
        "annotations": [{"image_id": 1, "segmentation": [[value for point in SQUARE for value in point]]}],
    }
    for content in (labelme, coco):
        (tmp_path / "a.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match="drawn on an image of 30 x 40 pixels, but the image has 60 x 80"):
            read_drawn_labels(tmp_path / "a.json", "a.tif", HW, 1)


def test_names_that_numbered_objects_do_not_keep_are_told(tmp_path):
    shapes = [polygon(*SQUARE, label="live"), polygon([40, 40], [50, 40], [50, 50], label="dead")]
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes}), encoding="utf-8-sig")
    _, (note,) = read_drawn_labels(tmp_path / "a.json", "", HW, 1)
    assert "(dead, live)" in note
    assert "'data.classes=[background,dead,live]'" in note
    _, notes = read_drawn_labels(tmp_path / "a.json", "", HW, 1, ("background", "live", "dead"))
    assert notes == []


def test_areas_without_extent_are_skipped(tmp_path):
    shapes = [polygon(*SQUARE), polygon(), polygon([1, 1], [5, 5]), polygon([1, 1], [5, 5], [float("nan"), 9])]
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes}))
    (labels,), (note,) = read_drawn_labels(tmp_path / "a.json", "", HW, 1)
    assert labels.max() == 1
    assert "skipped 3 drawn objects" in note


def test_classes_that_qupath_ignores_are_no_objects(tmp_path):
    def feature(name):
        ring = [[*SQUARE, SQUARE[0]]]
        return {"geometry": {"type": "Polygon", "coordinates": ring}, "properties": {"classification": {"name": name}}}

    (tmp_path / "a.geojson").write_text(json.dumps({"features": [feature("Region*"), feature("Tumor")]}))
    (labels,), notes = read_drawn_labels(tmp_path / "a.geojson", "", HW, 1)
    assert labels.max() == 1
    assert "skipped 1 drawn object" in notes[0]
    (tmp_path / "a.geojson").write_text(json.dumps({"features": [feature("Region*")]}))
    assert read_drawn_labels(tmp_path / "a.geojson", "", HW, 1)[0][0].max() == 1


@pytest.mark.parametrize("name", ["D:\\data\\a.tif", "images/a.png", "images\\1/a.tif"])
def test_coco_names_images_with_folders_of_any_system(tmp_path, name):
    content = {
        "images": [{"id": "7", "file_name": name}],
        "annotations": [{"image_id": 7, "segmentation": [[value for point in SQUARE for value in point]]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert images_of(tmp_path / "coco.json") == ["a"]
    assert read_drawn_labels(tmp_path / "coco.json", "a.tif", HW, 1)[0][0].any()


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.json", "{", "cannot be read"),
        ("a.json", "{}", "neither GeoJSON, labelme nor COCO"),
        ("a.json", "3", "cannot be read"),
        ("a.geojson", '{"features": [{"geometry": {"type": "Polygon"}}]}', "cannot be read"),
        ("a.geojson", '{"features": [{"geometry": {"type": "Point", "coordinates": [1, 1]}}]}', "none is an area"),
        ("a.json", '{"shapes": [3], "imageHeight": 60, "imageWidth": 80}', "cannot be read"),
        ("a.zip", "no zip", "cannot be read"),
        ("a.roi", "no roi", "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused(name, content, match, tmp_path):
    pytest.importorskip("roifile")
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=match):
        read_drawn_labels(tmp_path / name, "a.png", HW, 1)


def test_several_pages_need_a_file_each(tmp_path):
    geojson(tmp_path / "a.geojson", discs())
    with pytest.raises(DataError, match="3 pages"):
        read_drawn_labels(tmp_path / "a.geojson", "", HW, 3)
