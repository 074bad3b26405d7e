import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu

from unet_repro.data.labels import classes_from_instances
from unet_repro.data.sources.neuropil import grow_stack


class Slice(NamedTuple):
    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]


@pytest.fixture(scope="module")
def full() -> list[Slice]:
    """Two stacks of slices of full size, fewer of them."""
    stacks = [grow_stack(np.random.default_rng([0, stream]), num_slices=8, size_px=512) for stream in (0, 1)]
    return [Slice(*one) for stack in stacks for one in zip(*stack, strict=True)]


def iou(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    return float((predicted & truth).sum() / (predicted | truth).sum())


def best_threshold_iou(image: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
    """Highest IoU of ``image < t`` over all integer t."""
    edges = np.arange(257)
    hit = np.cumsum(np.histogram(image[truth], edges)[0])
    taken = np.cumsum(np.histogram(image, edges)[0])
    return float((hit / (taken + truth.sum() - hit)).max())


def test_two_stacks_are_grown_independently(full: list[Slice]) -> None:
    for first, second in zip(full[:8], full[8:], strict=True):
        assert abs(np.corrcoef(first.image.ravel(), second.image.ravel())[0, 1]) < 0.2
        assert iou(first.labels == 0, second.labels == 0) < 0.2


def test_slices_look_like_neuropil_in_numbers(full: list[Slice]) -> None:
    for s in full:
        assert 0.17 < (s.labels == 0).mean() < 0.26
        assert 90 < len(np.unique(s.labels)) - 1 < 170
        areas = np.bincount(s.labels.ravel())[1:]
        assert np.percentile(areas[areas > 0], 90) > 5 * np.percentile(areas[areas > 0], 20)
        assert s.image[s.labels == 0].mean() < s.image[s.labels > 0].mean() - 20


def test_no_two_cells_touch(full: list[Slice]) -> None:
    for s in full:
        np.testing.assert_array_equal(classes_from_instances(s.labels), s.labels > 0)


def test_nearly_all_of_a_cell_is_one_piece(full: list[Slice]) -> None:
    s = full[0]
    largest = 0
    for instance in np.unique(s.labels[s.labels > 0]):
        pieces, _ = ndimage.label(s.labels == instance)
        largest += np.bincount(pieces.ravel())[1:].max()
    assert largest > 0.98 * (s.labels > 0).sum()


def test_neighbouring_slices_resemble_each_other_and_cells_keep_their_label(full: list[Slice]) -> None:
    stack = full[:8]
    for a, b in itertools.pairwise(stack):
        near = np.corrcoef(a.image.ravel(), b.image.ravel())[0, 1]
        assert near > 0.2
        assert (a.labels == b.labels)[a.labels > 0].mean() > 0.7
    assert not np.array_equal(np.unique(stack[0].labels), np.unique(stack[-1].labels))  # some appear, some vanish
    far = np.corrcoef(stack[0].image.ravel(), stack[-1].image.ravel())[0, 1]
    assert far < np.corrcoef(stack[0].image.ravel(), stack[1].image.ravel())[0, 1]


def test_no_global_threshold_finds_the_membranes(full: list[Slice]) -> None:
    for s in full:
        membrane = s.labels == 0
        raw = s.image.astype(np.float64)
        assert iou(raw <= threshold_otsu(s.image), membrane) < 0.5
        for sigma_px in (0, 1, 2):
            assert best_threshold_iou(ndimage.gaussian_filter(raw, sigma_px), membrane) < 0.5
