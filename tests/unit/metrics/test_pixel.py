"""Pixel measures on cases counted by hand: perfect, empty, absent, stepped, pooled."""

from fractions import Fraction
from math import ceil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_repro.metrics.pixel import (
    PixelMeasures,
    confusion,
    dice_per_class,
    iou_per_class,
    iou_stepped,
    pixel_error,
    pixel_measures,
)

NAMES = ("background", "cell")


def measure(*pairs, names=NAMES):
    measures = PixelMeasures(names)
    for predicted, truth in pairs:
        measures.update(torch.tensor(predicted), torch.tensor(truth))
    return {name: value.item() for name, value in measures.compute().items()}


def test_rows_are_the_truth_and_columns_the_prediction():
    predicted, truth = torch.tensor([[0, 1, 2], [2, 2, 0]]), torch.tensor([[0, 1, 1], [1, 2, 0]])

    assert confusion(predicted, truth, 3).tolist() == [[2, 0, 0], [0, 1, 2], [0, 0, 1]]


def test_a_perfect_prediction_scores_one_and_errs_nowhere():
    image = [[0, 0, 1], [1, 1, 0]]

    assert measure((image, image)) == {
        "iou": 1,
        "iou_background": 1,
        "iou_cell": 1,
        "dice": 1,
        "pixel_error": 0,
        "iou_stepped": 1,
    }


def test_a_case_counted_by_hand():
    # cell: 2 hit, 1 missed, 1 false; background: 4 hit
    got = measure(([[1, 1, 1, 0], [0, 0, 0, 0]], [[1, 1, 0, 1], [0, 0, 0, 0]]))

    assert got == pytest.approx(
        {
            "iou": (2 / 4 + 4 / 6) / 2,
            "iou_background": 4 / 6,
            "iou_cell": 2 / 4,
            "dice": (4 / 6 + 8 / 10) / 2,
            "pixel_error": 2 / 8,
            "iou_stepped": 0.2,
        }
    )


def test_an_empty_prediction_has_no_overlap_with_the_cells():
    got = measure(([[0, 0], [0, 0]], [[1, 0], [0, 0]]))

    assert got["iou_cell"] == 0
    assert got["iou_background"] == pytest.approx(3 / 4)
    assert got["pixel_error"] == pytest.approx(1 / 4)


def test_cells_predicted_where_there_are_none_have_no_overlap():
    got = measure(([[1, 0], [0, 0]], [[0, 0], [0, 0]]))

    assert (got["iou_cell"], got["iou_background"]) == (0, pytest.approx(3 / 4))


def test_a_class_in_neither_image_counts_as_right():
    got = measure(([[0, 0]], [[0, 0]]))

    assert (got["iou_cell"], got["dice"], got["iou"], got["pixel_error"]) == (1, 1, 1, 0)


def test_three_classes_are_named_in_order():
    got = measure(([[0, 1, 2, 2]], [[0, 1, 1, 2]]), names=("a", "b", "c"))

    assert (got["iou_a"], got["iou_b"], got["iou_c"]) == (1, 0.5, 0.5)
    assert got["iou"] == pytest.approx(2 / 3)


def test_leading_dimensions_are_images():
    matrices = torch.tensor([[[3, 1], [0, 4]], [[1, 0], [2, 5]]])

    for function in (iou_per_class, dice_per_class, pixel_error):
        assert torch.equal(function(matrices), torch.stack([function(matrix) for matrix in matrices]))


@pytest.mark.parametrize(
    ("iou", "score"),
    [(0.0, 0.0), (0.5, 0.0), (0.5 + 2**-20, 0.1), (0.53125, 0.1), (0.75, 0.5), (0.75 + 2**-20, 0.6), (1.0, 1.0)],
)
def test_the_stepped_score_rises_by_a_tenth_just_above_every_twentieth(iou, score):
    assert iou_stepped(torch.tensor(iou, dtype=torch.float64)).item() == pytest.approx(score)


@pytest.mark.parametrize("twentieths", range(10, 21))
def test_the_stepped_score_of_a_whole_twentieth_is_that_of_exact_arithmetic(twentieths):
    expected = ceil(20 * (Fraction(twentieths, 20) - Fraction(1, 2))) / 10

    assert iou_stepped(torch.tensor(twentieths / 20, dtype=torch.float64)).item() == pytest.approx(expected)


def test_the_stepped_score_is_a_mean_over_images_and_all_else_is_pooled():
    perfect, wrong = ([[1, 1, 1, 0]], [[1, 1, 1, 0]]), ([[0, 1]], [[1, 0]])
    got = measure(perfect, wrong)

    assert got["iou_stepped"] == pytest.approx((1 + 0) / 2)
    assert got["iou_cell"] == pytest.approx(3 / 5)
    assert got["iou_background"] == pytest.approx(1 / 3)
    assert got["pixel_error"] == pytest.approx(2 / 6)


masks = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12)


@settings(deadline=None, max_examples=50)
@given(images=st.lists(masks, min_size=1, max_size=5), data=st.data())
def test_the_order_of_images_does_not_matter(images, data):
    pairs = [tuple(zip(*image, strict=True)) for image in images]
    shuffled = data.draw(st.permutations(pairs))

    assert measure(*shuffled) == pytest.approx(measure(*pairs), abs=1e-12)


def test_reset_forgets_all_images():
    measures = PixelMeasures(NAMES)
    measures.update(torch.tensor([[0, 1]]), torch.tensor([[1, 0]]))
    measures.compute()
    measures.reset()
    measures.update(torch.tensor([[0, 1]]), torch.tensor([[0, 1]]))

    assert measures.compute()["iou"].item() == 1


def test_the_class_gives_what_the_function_gives():
    torch.manual_seed(0)
    predicted, truth = torch.randint(2, (3, 9, 11)), torch.randint(2, (3, 9, 11))
    matrices = torch.stack([confusion(p, t, 2) for p, t in zip(predicted, truth, strict=True)])
    expected = pixel_measures(matrices, NAMES)

    assert measure(*zip(predicted.tolist(), truth.tolist(), strict=True)) == {k: v.item() for k, v in expected.items()}


def test_ignored_pixels_are_in_no_measure():
    predicted, truth = [[0, 1, 2, 2, 0, 1]], [[0, 1, 1, 2, 255, 255]]
    found = measure((predicted, truth), names=("background", "nucleus", "cytoplasm"))

    assert confusion(torch.tensor(predicted), torch.tensor(truth), 3).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert [found[f"iou_{name}"] for name in ("background", "nucleus", "cytoplasm")] == [1.0, 0.5, 0.5]
    assert found["pixel_error"] == 0.25
    known = measure(([predicted[0][:4]], [truth[0][:4]]), names=("background", "nucleus", "cytoplasm"))
    assert found == known
