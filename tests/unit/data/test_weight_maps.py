from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unet_repro.data import weight_maps
from unet_repro.data.labels import IGNORED, class_counts, classes_from_instances, instances_from_classes
from unet_repro.data.weight_maps import border_only, class_balance, morphological, none, paper
from unet_repro.errors import DataError

Labels = npt.NDArray[np.int32]
ALL = [none, class_balance, border_only, morphological, paper]
BORDER = [border_only, morphological, paper]
COUNTS = np.array([30.0, 70.0])


@pytest.fixture
def two_cells() -> Labels:
    """A gap of three columns between two cells; far background on the right."""
    instances = np.zeros((20, 120), np.int32)
    instances[5:15, 5:20] = 4
    instances[5:15, 23:40] = 9
    return instances


@pytest.fixture
def one_cell(two_cells: Labels) -> Labels:
    return np.where(two_cells == 4, two_cells, 0).astype(np.int32)


@pytest.mark.parametrize("weight_map", ALL)
def test_weights_have_the_labels_shape_and_are_float32(weight_map: weight_maps.WeightMap, two_cells: Labels) -> None:
    weights = weight_map(two_cells, COUNTS)
    assert weights.shape == two_cells.shape
    assert weights.dtype == np.float32
    assert np.isfinite(weights).all()
    assert (weights > 0).all()


@pytest.mark.parametrize("weight_map", ALL)
def test_labels_are_left_as_they_were(weight_map: weight_maps.WeightMap, two_cells: Labels) -> None:
    before = two_cells.copy()
    two_cells.flags.writeable = False
    weight_map(two_cells, COUNTS)
    np.testing.assert_array_equal(two_cells, before)


@pytest.mark.parametrize("weight_map", ALL)
def test_names_of_instances_do_not_matter(weight_map: weight_maps.WeightMap, two_cells: Labels) -> None:
    renamed = np.select([two_cells == 4, two_cells == 9], [2**31 - 1, 1], 0).astype(np.int32)
    np.testing.assert_array_equal(weight_map(renamed, COUNTS), weight_map(two_cells, COUNTS))


@pytest.mark.parametrize("weight_map", BORDER)
def test_the_same_labels_give_the_same_bits_every_time(weight_map: weight_maps.WeightMap, two_cells: Labels) -> None:
    moved = np.empty(two_cells.size + 16, np.int32)
    results = set()
    for offset in range(16):  # memory alignment must not show
        instances = moved[offset : offset + two_cells.size].reshape(two_cells.shape)
        instances[:] = two_cells
        results.add(weight_map(instances, COUNTS).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("weight_map", ALL)
def test_a_view_with_strides_gives_the_same_as_its_copy(weight_map: weight_maps.WeightMap, two_cells: Labels) -> None:
    view = two_cells.T[::-1, ::2]
    np.testing.assert_array_equal(weight_map(view, COUNTS), weight_map(view.copy(), COUNTS))


@given(st.lists(hnp.arrays(np.int32, (6, 7), elements=st.integers(0, 3)), min_size=1, max_size=5))
@settings(deadline=None)
def test_class_balance_has_mean_one_over_the_training_set(images: list[Labels]) -> None:
    counts = np.mean([class_counts(classes_from_instances(image)) for image in images], axis=0)
    if counts.all():
        weights = np.stack([class_balance(image, counts) for image in images])
        assert weights.mean(dtype=np.float64) == pytest.approx(1)
        classes = np.stack([classes_from_instances(image) for image in images])
        assert weights[classes == 0].sum() == pytest.approx(weights[classes == 1].sum())  # an equal share each


def test_border_only_is_nearly_zero_far_from_borders(two_cells: Labels) -> None:
    weights = border_only(two_cells, COUNTS * 1e4)
    assert weights[:, 80:].max() < 1e-5
    assert weights[10, 21] > 5


def test_border_only_reaches_into_cells_and_paper_does_not(two_cells: Labels) -> None:
    assert border_only(two_cells, COUNTS)[10, 18] > 5
    np.testing.assert_array_equal(
        paper(two_cells, COUNTS)[two_cells > 0], class_balance(two_cells, COUNTS)[two_cells > 0]
    )


@pytest.mark.parametrize("weight_map", [paper, morphological])
def test_the_gap_between_cells_weighs_most(weight_map: weight_maps.WeightMap, two_cells: Labels) -> None:
    weights = weight_map(two_cells, COUNTS)
    assert two_cells[np.unravel_index(weights.argmax(), weights.shape)] == 0
    assert weights[5:15, 20:23].min() > 5
    assert weights[10, 110] == class_balance(two_cells, COUNTS)[10, 110]


@pytest.mark.parametrize("weight_map", [paper, morphological])
def test_fewer_than_two_instances_have_no_border(weight_map: weight_maps.WeightMap, one_cell: Labels) -> None:
    for instances in (one_cell, np.zeros_like(one_cell), np.ones_like(one_cell)):
        np.testing.assert_array_equal(weight_map(instances, COUNTS), class_balance(instances, COUNTS))


def test_two_parts_of_one_instance_have_no_border_between_them(two_cells: Labels) -> None:
    one = np.minimum(two_cells, 1)
    np.testing.assert_array_equal(paper(one, COUNTS), class_balance(one, COUNTS))


def test_no_height_leaves_class_balance(two_cells: Labels) -> None:
    for weight_map in (paper, morphological):
        np.testing.assert_array_equal(weight_map(two_cells, COUNTS, w0=0.0), class_balance(two_cells, COUNTS))


@pytest.mark.parametrize("weight_map", ALL)
@pytest.mark.parametrize(
    ("instances", "counts", "message"),
    [
        (np.zeros((2, 3, 4), np.int32), COUNTS, r"\(H, W\) integers"),
        (np.zeros((2, 3), np.float64), COUNTS, "float64"),
        (np.zeros((0, 3), np.int32), COUNTS, "non-empty"),
        (np.array([[0, -1]], np.int32), COUNTS, "negative id -1"),
        (np.array([[0, 2**31]], np.int64), COUNTS, "id 2147483648"),
        (np.zeros((2, 3), np.int32), np.ones(3), "class counts"),
        (np.zeros((2, 3), np.int32), np.array([1.0, np.nan]), "class counts"),
        (np.zeros((2, 3), np.int32), np.array([1.0, -1.0]), "class counts"),
    ],
)
def test_bad_input_is_refused(
    weight_map: weight_maps.WeightMap, instances: Labels, counts: npt.NDArray[np.float64], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        weight_map(instances, counts)


@pytest.mark.parametrize("weight_map", ALL)
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_labels_of_any_integer_type_alone_give_the_map_of_this_image(
    weight_map: weight_maps.WeightMap, kind: type, two_cells: Labels
) -> None:
    counts = class_counts(classes_from_instances(two_cells))
    np.testing.assert_array_equal(weight_map(two_cells.astype(kind)), weight_map(two_cells, counts))


@pytest.mark.parametrize("weight_map", [class_balance, *BORDER])
def test_a_class_without_pixels_is_refused_by_name(weight_map: weight_maps.WeightMap, two_cells: Labels) -> None:
    with pytest.raises(DataError, match="class 1 has no pixels"):
        weight_map(two_cells, np.array([5.0, 0.0]))


@pytest.mark.parametrize("weight_map", BORDER)
@pytest.mark.parametrize("wrong", [{"w0": -1.0}, {"w0": np.inf}, {"sigma_px": 0.0}, {"sigma_px": np.nan}])
def test_illegal_parameters_are_refused(
    weight_map: weight_maps.WeightMap, wrong: dict[str, float], two_cells: Labels
) -> None:
    with pytest.raises(DataError, match=next(iter(wrong))):
        partial(weight_map, **wrong)(two_cells, COUNTS)


@pytest.mark.parametrize("radius", [0, 1.5])
def test_an_illegal_radius_is_refused(radius: int, two_cells: Labels) -> None:
    with pytest.raises(DataError, match="radius_px"):
        morphological(two_cells, COUNTS, radius_px=radius)


@pytest.mark.parametrize("weight_map", ALL)
def test_ignored_pixels_weigh_nothing_and_the_others_as_before(
    weight_map: weight_maps.WeightMap, two_cells: Labels
) -> None:
    classes = classes_from_instances(two_cells)
    plain = weight_map(two_cells, COUNTS)
    np.testing.assert_array_equal(weight_map(two_cells, COUNTS, classes=classes), plain)
    classes[:, :10] = IGNORED
    weights = weight_map(two_cells, COUNTS, classes=classes)
    assert not weights[:, :10].any()
    np.testing.assert_array_equal(weights[:, 10:], plain[:, 10:])


def test_three_classes_are_balanced_and_pieces_that_are_near_have_a_border() -> None:
    classes = np.array([[1, 1, 0, 2, 0, 0, 0, 255]], np.uint8)
    instances, counts = instances_from_classes(classes), class_counts(classes, 3)
    assert counts.tolist() == [4, 2, 1]
    expected = [7 / (3 * 2)] * 2 + [7 / (3 * 4), 7 / 3] + [7 / (3 * 4)] * 3 + [0]
    np.testing.assert_allclose(class_balance(instances, counts, classes=classes), [expected], rtol=1e-6)
    border = paper(instances, counts, classes=classes, w0=10, sigma_px=5) - class_balance(
        instances, counts, classes=classes
    )
    distances = np.array([1 + 1, 1 + 3, 2 + 4, 3 + 5])  # to the two pieces, of the background pixels
    np.testing.assert_allclose(border[0, [2, 4, 5, 6]], 10 * np.exp(-(distances**2) / 50), rtol=1e-5)
    assert not border[0, [0, 1, 3, 7]].any()


def test_counts_must_have_a_place_for_every_class() -> None:
    with pytest.raises(DataError, match="must be 3 finite numbers"):
        class_balance(np.zeros((1, 3), np.int32), COUNTS, classes=np.array([[0, 1, 2]], np.uint8))
    assert class_balance(np.zeros((1, 3), np.int32), classes=np.array([[0, 1, 2]], np.uint8)).tolist() == [[1, 1, 1]]
