"""One annotated image trains: blocks of it validate, and a gap of the receptive field is in neither."""

import numpy as np
import pytest

from unet_repro.data.sample import Sample
from unet_repro.data.split_within import within
from unet_repro.errors import ConfigError, DataError
from unet_repro.geometry import halo


def sample(height=100, width=60, *, key="a", part="train", labelled=True, channels=None):
    """An image whose values name their place, with a cell in every 10 x 10 square."""
    image = np.arange(height * width, dtype=np.float32).reshape(height, width)
    labels = np.zeros((height, width), np.int32)
    for number, (row, column) in enumerate(np.ndindex(height // 10, width // 10), start=1):
        labels[10 * row + 2 : 10 * row + 7, 10 * column + 2 : 10 * column + 7] = number
    if channels:
        image = np.stack([image] * channels)
    return Sample(key, "images", part, image, labels if labelled else None)


@pytest.mark.parametrize("shape", [(100, 60), (60, 100)])
@pytest.mark.parametrize("channels", [None, 2])
def test_the_end_of_the_longer_side_validates_after_a_gap(shape, channels):
    whole = sample(*shape, channels=channels)
    split, blocks = within([whole], val_share=0.2, gap_px=15)
    along = 0 if shape[0] > shape[1] else 1
    name = ("rows", "columns")[along]

    assert (split.train, split.val, split.test) == ((f"a/{name}_0-64",), (f"a/{name}_80-99",), ())
    by_key = {block.key: block for block in blocks}
    for key, part in ((split.train[0], slice(0, 65)), (split.val[0], slice(80, 100))):
        place = (part, slice(None)) if along == 0 else (slice(None), part)
        np.testing.assert_array_equal(by_key[key].image, whole.image[(..., *place)])
        np.testing.assert_array_equal(by_key[key].labels, whole.labels[place])
        assert by_key[key].image.flags.c_contiguous


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_gap_is_the_receptive_field_of_the_depth(depth):
    split, _ = within([sample(400, 60)], depth=depth)

    assert split.train == (f"a/rows_0-{400 - 80 - 2 * halo(depth) - 1}",)


def test_the_start_validates_if_there_is_nothing_at_the_end():
    whole = sample()
    whole.labels[70:] = 0
    split, _ = within([whole], val_share=0.2, gap_px=15)

    assert (split.train, split.val) == (("a/rows_35-99",), ("a/rows_0-19",))


def test_own_classes_are_divided_and_ignored_pixels_are_no_class():
    whole = sample()
    classes = (whole.labels > 0).astype(np.uint8)
    classes[70:][classes[70:] == 1] = 255
    split, blocks = within([Sample("a", "images", "train", whole.image, whole.labels, classes)], gap_px=15)

    assert split.val == ("a/rows_0-19",)
    np.testing.assert_array_equal(blocks[1].classes, classes[:20])


def test_test_images_stay_whole_and_unlabelled_ones_take_no_part():
    split, blocks = within(
        [sample(), sample(key="b", labelled=False), sample(key="test/c", part="test")], val_share=0.2, gap_px=15
    )

    assert split.test == ("test/c",)
    assert [block.key for block in blocks] == [*split.train, *split.val, "b", "test/c"]


@pytest.mark.parametrize(
    ("settings", "match"),
    [({"gap_px": 80}, "smaller model.depth"), ({"depth": 4}, "a gap of 184 is left out")],
)
def test_an_image_that_is_too_small_is_refused_with_a_way_out(settings, match):
    with pytest.raises(DataError, match=match):
        within([sample()], **settings)


def test_an_image_of_one_class_and_no_labelled_image_are_refused():
    whole = sample()
    whole.labels[20:] = 0
    with pytest.raises(DataError, match="two classes on either side"):
        within([whole], gap_px=15)
    with pytest.raises(DataError, match="no labelled images"):
        within([sample(labelled=False)], gap_px=15)


@pytest.mark.parametrize(
    ("settings", "match"),
    [({"val_share": 1.0, "gap_px": 1}, "val_share"), ({"gap_px": -1}, "gap_px"), ({}, "gap_px is required")],
)
def test_settings_out_of_range_are_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        within([sample()], **settings)
