"""What label values mean: every kind of label set in several variants, and the questions where it is unclear."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy import ndimage
from skimage.segmentation import find_boundaries

from unet_repro.data.labels import IGNORED, classes_of
from unet_repro.data.meaning.decide import decide
from unet_repro.errors import DataError

Array = npt.NDArray[Any]


def discs(seed: int, *, height: int = 120, width: int = 140, radius: tuple[int, int] = (6, 12)) -> Array:
    """Instance numbers of discs that do not touch."""
    rng, labels, number = np.random.default_rng(seed), np.zeros((height, width), np.int32), 0
    rows, columns = np.mgrid[:height, :width]
    for _ in range(60):
        r = int(rng.integers(*radius))
        distance = (rows - rng.integers(r, height - r)) ** 2 + (columns - rng.integers(r, width - r)) ** 2
        if not labels[distance < (r + 3) ** 2].any():
            number += 1
            labels[distance < r * r] = number
    return labels


SCENES = [discs(seed) for seed in range(5)]
MASKS = [(labels > 0).astype(np.int32) for labels in SCENES]


def as_jpeg(mask: Array, quality: int) -> Array:
    file = io.BytesIO()
    Image.fromarray((mask * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).astype(np.int32)


def resized(mask: Array, factor: float, interpolation: int) -> Array:
    return cv2.resize((mask * 255).astype(np.uint8), None, fx=factor, fy=factor, interpolation=interpolation).astype(
        np.int32
    )


def foreground_iou(one: Array, other: Array) -> float:
    return float((one & other).sum() / (one | other).sum())


# --- masks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[255], [1], [7], [1, 255], [255, 1, 65535]])
def test_masks_of_one_value_or_of_full_scale_values_are_binary(values: list[int]) -> None:
    pages = [mask * values[index % len(values)] for index, mask in enumerate(MASKS)]
    meaning = decide(pages)
    assert (meaning.kind, meaning.cut, meaning.ignore, meaning.warnings) == ("binary", None, None, ())
    for page, labels in zip(pages, SCENES, strict=True):
        instances, classes = meaning.apply(page)
        assert classes is None
        np.testing.assert_array_equal(instances > 0, labels > 0)
        assert instances.max() == labels.max()
    assert all(str(value) in meaning.reasons[0] for value in values)


@pytest.mark.parametrize(
    "grey",
    [
        *(pytest.param(lambda mask, q=q: as_jpeg(mask, q), id=f"jpeg {q}") for q in (95, 75, 50, 30)),
        pytest.param(lambda mask: resized(mask, 0.5, cv2.INTER_AREA), id="half"),
        pytest.param(lambda mask: resized(mask, 2, cv2.INTER_LINEAR), id="double"),
        pytest.param(lambda mask: resized(mask, 4, cv2.INTER_CUBIC), id="four times"),
        pytest.param(lambda mask: resized(mask, 0.7, cv2.INTER_LINEAR), id="0.7 times"),
        pytest.param(
            lambda mask: cv2.GaussianBlur((mask * 255).astype(np.uint8), (0, 0), 1).astype(np.int32), id="blur"
        ),
        pytest.param(lambda mask: resized(mask, 0.5, cv2.INTER_AREA) * 257, id="16 bit"),
    ],
)
def test_masks_with_grey_edges_are_binary_with_a_warning_and_the_cut(grey: Callable[[Array], Array]) -> None:
    pages = [grey(mask) for mask in MASKS]
    meaning = decide(pages)
    assert meaning.kind == "binary"
    assert meaning.cut == max(page.max() for page in pages) / 2
    assert f"above {meaning.cut:g}" in meaning.warnings[0]
    for page, mask in zip(pages, MASKS, strict=True):
        found = meaning.apply(page)[0] > 0
        expected = cv2.resize(mask.astype(np.uint8), found.shape[::-1], interpolation=cv2.INTER_LINEAR_EXACT) > 0
        assert foreground_iou(found, expected) > 0.9
    assert decide(pages, labels="binary").cut == meaning.cut


def test_grey_edges_clean_masks_and_blank_pages_may_be_in_one_set() -> None:
    pages = [as_jpeg(MASKS[0], 75), MASKS[1] * 255, MASKS[2], np.zeros_like(MASKS[0])]
    meaning = decide(pages)
    assert (meaning.kind, meaning.cut) == ("binary", 127.5)
    for page, mask in zip(pages[1:3], MASKS[1:3], strict=True):
        np.testing.assert_array_equal(meaning.apply(page)[0] > 0, mask > 0)
    assert not meaning.apply(pages[3])[0].any()


@pytest.mark.parametrize("kind", ["binary", "instances"])
@pytest.mark.parametrize("thick", [1, 2, 3, 4])
def test_outlines_are_asked_about_and_can_be_kept(thick: int, kind: Any) -> None:
    filled = [discs(seed, radius=(12, 20)) for seed in range(3)]
    lines = [
        ndimage.binary_dilation(find_boundaries(page, mode="inner"), iterations=thick) & (page > 0) for page in filled
    ]
    pages = [
        line.astype(np.int32) if kind == "binary" else page * line for page, line in zip(filled, lines, strict=True)
    ]
    with pytest.raises(DataError, match="outlines of cells") as caught:
        decide(pages)
    assert f"data.labels={kind}" in caught.value.hint
    assert decide(pages, labels=kind).kind == kind


def test_outlines_of_cells_that_the_border_cuts_are_asked_about() -> None:
    page = np.zeros((100, 100), np.int32)
    page[29:31] = page[69:71] = 1
    page[:30, 49:51] = page[70:, 49:51] = 1
    with pytest.raises(DataError, match="outlines of cells"):
        decide([page])
    one_line = np.zeros((100, 100), np.int32)
    one_line[20:80, 49:51] = 1
    assert decide([one_line]).kind == "binary"


def test_one_grey_value_along_edges_is_asked_about() -> None:
    def trimap(mask: Array) -> Array:
        edge = ndimage.binary_dilation(mask) & ~ndimage.binary_erosion(mask)
        return np.where(edge, 128, mask * 255).astype(np.int32)

    pages = [trimap(mask) for mask in MASKS]
    with pytest.raises(DataError, match="0, 128 and 255, and 128 lies along edges only") as caught:
        decide(pages)
    assert "data.ignore=128" in caught.value.hint
    assert decide(pages, labels="binary").cut == 127.5
    assert decide(pages, labels="classes").values == ((0, 0), (128, 1), (255, 2))
    left_out = decide(pages, ignore=128)
    assert (left_out.kind, left_out.ignore) == ("binary", 128)


# --- instances -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "renumber",
    [
        pytest.param(lambda labels, index: labels, id="1 to n"),
        pytest.param(lambda labels, index: np.where(labels > 0, labels + 300 * index, 0), id="numbered on"),
        pytest.param(lambda labels, index: labels * 17, id="with gaps"),
        pytest.param(lambda labels, index: np.where(labels > 3 + index, 0, labels), id="few"),
        pytest.param(lambda labels, index: np.where(labels > 0, 40 + labels, 0), id="past 40"),
    ],
)
def test_instance_numbers_are_kept(renumber: Callable[[Array, int], Array]) -> None:
    pages = [renumber(labels, index) for index, labels in enumerate(SCENES)]
    meaning = decide(pages)
    assert (meaning.kind, meaning.ignore, meaning.cut) == ("instances", None, None)
    for page in pages:
        instances, classes = meaning.apply(page)
        assert classes is None
        np.testing.assert_array_equal(instances, page)
    assert "instance numbers" in meaning.reasons[0]


def test_objects_in_pieces_do_not_make_instances_classes() -> None:
    pages = [labels.copy() for labels in SCENES]
    for page in pages:
        for number in range(1, 4):
            rows, columns = np.nonzero(page == number)
            page[int(np.median(rows)), columns.min() : columns.max() + 1] = 0
    assert decide(pages).kind == "instances"


def test_many_small_objects_are_instances_and_thin_classes_are_classes() -> None:
    spots = [np.zeros((64, 64), np.int32) for _ in range(2)]
    for index, page in enumerate(spots):
        page[4:60:4, 4 : 60 - 8 * index : 4] = np.arange(14 * (14 - 2 * index)).reshape(14, -1) + 1
    assert decide(spots).kind == "instances"
    vessels = np.zeros((64, 64), np.int32)
    vessels[4:60:9], vessels[8:60:9] = 1, 2
    assert decide([vessels, vessels.T.copy()]).kind == "classes"


@pytest.mark.parametrize("spoil", ["resize", "jpeg", "resize small numbers", "enlarge a little"])
def test_interpolated_instance_numbers_are_refused(spoil: str) -> None:
    ids = [(labels * (1 if "small" in spoil or "little" in spoil else 9)).astype(np.uint8) for labels in SCENES]
    if spoil == "jpeg":
        pages = [as_jpeg(page / 255, 75) for page in ids]
    else:
        by = 1.5 if "little" in spoil else 2
        pages = [cv2.resize(page, None, fx=by, fy=by, interpolation=cv2.INTER_LINEAR).astype(np.int32) for page in ids]
    with pytest.raises(DataError, match="interpolation") as caught:
        decide(pages)
    assert "nearest" in caught.value.hint


@pytest.mark.parametrize("value", [1, 255, 65535])
def test_masks_beside_numbered_objects_are_refused(value: int) -> None:
    pages = [*SCENES[:3], *(mask * value for mask in MASKS[3:])]
    with pytest.raises(DataError, match=f"of two kinds: 2 with 0 and {value} only, 3 with more than") as caught:
        decide(pages)
    assert "alike" in caught.value.hint


def test_an_image_with_a_single_object_is_no_mask_beside_numbered_objects() -> None:
    assert decide([SCENES[0], (SCENES[1] == 1).astype(np.int32), SCENES[2]]).kind == "instances"


def test_masks_said_to_be_numbers_are_warned_of() -> None:
    assert "data.labels=binary" in decide(MASKS, labels="instances").warnings[0]
    assert decide(SCENES, labels="instances").warnings == ()


# --- classes -------------------------------------------------------------------------------------------------------


def three_classes(values: Sequence[int], *, scenes: Sequence[Array] = SCENES) -> list[Array]:
    lookup = np.array(values)
    return [lookup[np.where(labels > 0, 1 + labels % (len(values) - 1), 0)] for labels in scenes]


@pytest.mark.parametrize(
    "values", [[0, 1, 2], [0, 128, 255], [0, 127, 255], [0, 85, 170, 255], [0, 1, 2, 3, 4], [0, 3, 9]]
)
def test_values_that_all_images_share_in_scattered_pieces_are_classes(values: list[int]) -> None:
    pages = three_classes(values)
    meaning = decide(pages)
    assert (meaning.kind, meaning.ignore) == ("classes", None)
    assert meaning.class_names[0] == "background"
    assert len(meaning.class_names) == len(values)
    for page in pages:
        instances, classes = meaning.apply(page)
        assert classes is not None
        np.testing.assert_array_equal(np.array(values)[classes], page)
        np.testing.assert_array_equal(instances > 0, page > 0)


def test_a_class_that_some_images_lack_is_a_class() -> None:
    pages = three_classes([0, 1, 2, 3])
    pages[0][pages[0] == 3] = 0
    pages[1][pages[1] == 2] = 0
    assert decide(pages).class_names == ("background", "class_1", "class_2", "class_3")


def test_evenly_spaced_grey_levels_are_classes_even_in_single_pieces() -> None:
    page = np.zeros((30, 30), np.int32)
    page[4:26, 4:26], page[10:20, 10:20] = 128, 255
    assert decide([page, page.T.copy()]).kind == "classes"


def test_names_say_that_values_are_classes_and_how_many() -> None:
    pages = three_classes([0, 1, 3])
    meaning = decide(pages, classes=["background", "nucleus", "debris", "cytoplasm"])  # debris does not occur
    assert meaning.class_names[3] == "cytoplasm"
    np.testing.assert_array_equal(meaning.apply(pages[0])[1], pages[0])
    assert decide(pages, classes=["background", "nucleus", "cytoplasm"]).values == ((0, 0), (1, 1), (3, 2))
    with pytest.raises(DataError, match=r"3 values \(0, 1, 3\), but data.classes has 2 names"):
        decide(pages, labels="classes", classes=["background", "nucleus"])
    with pytest.raises(DataError, match="two classes, but data.classes has 3 names"):
        decide(pages, labels="instances", classes=["background", "nucleus", "cytoplasm"])


@pytest.mark.parametrize("names", [["cell"], ["a", "a"], ["a", " "]])
def test_names_that_cannot_be_told_apart_are_refused(names: list[str]) -> None:
    with pytest.raises(DataError, match="two or more different names"):
        decide(MASKS, classes=names)


def test_two_names_rename_the_classes_of_a_mask() -> None:
    assert decide(MASKS, classes=["membrane", "cell"]).class_names == ("membrane", "cell")


@pytest.mark.parametrize("values", [[1, 2], [1, 2, 3], [2, 5], [1, 255]])
def test_labels_without_0_are_asked_about_and_classes_subtract(values: list[int]) -> None:
    pages = three_classes(values)
    with pytest.raises(DataError, match=f"Is {values[0]} the background") as caught:
        decide(pages)
    assert "data.labels=classes" in caught.value.hint
    meaning = decide(pages, labels="classes")
    _, classes = meaning.apply(pages[0])
    np.testing.assert_array_equal(np.array(values)[classes], pages[0])


def _two_cells_each() -> list[Array]:
    return [np.where(labels > 2, 0, labels) for labels in SCENES]


def _layers() -> list[Array]:
    return [np.repeat(np.arange(6, dtype=np.int32), 8 + index)[:, None].repeat(40, 1) for index in range(3)]


def _masks_of_two_values() -> list[Array]:
    return [mask * (1 + index % 2) for index, mask in enumerate(MASKS)]


@pytest.mark.parametrize("make", [_two_cells_each, _layers, _masks_of_two_values])
def test_where_objects_and_classes_look_alike_the_user_is_asked(make: Callable[[], list[Array]]) -> None:
    pages = make()
    with pytest.raises(DataError, match="classes or numbers of objects") as caught:
        decide(pages)
    assert "data.labels=classes" in caught.value.hint
    assert "data.labels=instances" in caught.value.hint
    assert decide(pages, labels="instances").kind == "instances"
    assert decide(pages, labels="classes").kind == "classes"


# --- ignored pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: MASKS, lambda: SCENES, lambda: three_classes([0, 1, 2])])
def test_255_beside_small_numbers_is_ignored(make: Callable[[], list[Array]]) -> None:
    clean, pages = make(), [page.copy() for page in make()]
    for page in pages[:3]:
        page[:20] = 255
    meaning = decide(pages)
    assert (meaning.kind, meaning.ignore) == (decide(clean).kind, 255)
    assert any("255" in reason and "ignored" in reason for reason in meaning.reasons)
    for page, whole in zip(pages, clean, strict=True):
        instances, classes = meaning.apply(page)
        known = classes_of(instances, classes) != IGNORED
        np.testing.assert_array_equal(known, page != 255)
        np.testing.assert_array_equal(instances[known] > 0, whole[known] > 0)
        assert not instances[~known].any()


def test_the_largest_number_of_16_bits_beside_smaller_ones_is_ignored() -> None:
    pages = [np.where(np.arange(len(labels))[:, None] < 20, 65535, labels + 300 * (labels > 0)) for labels in SCENES]
    meaning = decide(pages)
    assert (meaning.kind, meaning.ignore) == ("instances", 65535)
    instances, classes = meaning.apply(pages[0])
    np.testing.assert_array_equal(classes_of(instances, classes) == IGNORED, pages[0] == 65535)
    assert decide([np.where(labels == 1, 65535, labels + 40_000 * (labels > 0)) for labels in SCENES]).ignore is None
    assert decide([mask * 65535 for mask in MASKS]).ignore is None


def test_a_large_object_with_the_last_number_does_not_make_a_mask() -> None:
    page = np.zeros((300, 300), np.int32)
    rows, columns = np.mgrid[:300, :300]
    for number in range(40):
        page[(rows - 8 - 14 * (number // 20)) ** 2 + (columns - 8 - 14 * (number % 20)) ** 2 <= 9] = number + 1
    page[(rows - 200) ** 2 + (columns - 150) ** 2 <= 70**2] = 41
    meaning = decide([page])
    assert (meaning.kind, meaning.cut) == ("instances", None)


def test_255_is_a_number_like_others_where_numbers_come_close_to_it() -> None:
    pages = [np.arange(400, dtype=np.int32).reshape(20, 20) % 256]
    assert decide(pages).ignore is None
    assert decide([np.where(labels == 1, 255, labels + 99 * (labels > 0)) for labels in SCENES]).ignore is None


@pytest.mark.parametrize("value", [0, 128, 9, -1])
def test_any_value_can_be_ignored(value: int) -> None:
    pages = [np.where(mask > 0, 2, 1) for mask in MASKS] if value == 0 else [mask.copy() for mask in MASKS]
    for page in pages:
        page[5:25, 5:60] = value
    meaning = decide(pages, ignore=value)
    instances, classes = meaning.apply(pages[0])
    known = pages[0] != value
    assert meaning.class_names == ("background", "cell")
    np.testing.assert_array_equal(classes_of(instances, classes)[known], MASKS[0][known])
    np.testing.assert_array_equal(classes_of(instances, classes) == IGNORED, ~known)


def test_an_ignored_value_that_does_not_occur_is_told() -> None:
    assert decide(MASKS, ignore=200).warnings == ("no label has the ignored value 200",)


def test_255_around_numbered_objects_may_be_the_background() -> None:
    with pytest.raises(DataError, match=r"and 255 for pixels to leave out\. Is 1 or 255 the background") as caught:
        decide([np.where(labels == 0, 255, labels) for labels in SCENES])
    assert "if it is 255, replace it by 0" in caught.value.hint


def test_255_that_may_be_cell_or_ignored_is_asked_about() -> None:
    both = MASKS[0].copy()
    both[:20] = 255
    with pytest.raises(DataError, match="255 beside 1 in 1 images, and 255 without 1 in 2") as caught:
        decide([both, MASKS[1] * 255, MASKS[2] * 255])
    assert "data.ignore=255" in caught.value.hint
    assert decide([both, MASKS[1] * 255], ignore=255).kind == "binary"


def test_pixels_of_masks_with_grey_edges_can_be_ignored() -> None:
    page = as_jpeg(MASKS[0], 75)
    page[:20] = 1000
    meaning = decide([page], ignore=1000)
    assert meaning.cut == 127.5
    instances, classes = meaning.apply(page)
    assert classes is not None
    assert (classes[:20] == IGNORED).all()
    assert foreground_iou(instances[20:] > 0, MASKS[0][20:] > 0) > 0.95
