"""Arms side by side: means, and differences paired by seed and image."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from unet_repro.evaluation.measured import Assessment, ImageMeasures
from unet_repro.evaluation.summaries import differences, rows_of
from unet_repro.files import csv_text
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.metrics.cell_tracking import DetCounts
from unet_repro.report.side_by_side import arm_rows, side_by_side

SETTINGS = InstanceSettings(threshold=0.5, method="watershed", min_size_px=1, seed_distance_px=1)


def image(key, iou):
    return ImageMeasures(key, "run", sweep={}, pixel={"iou": iou}, settings=SETTINGS, seg=np.empty(0), det=None)


def arm(name, by_seed):
    """An arm from the IoU of its images: seed -> image -> IoU."""
    members = {f"seed {seed}": [image(key, iou) for key, iou in images.items()] for seed, images in by_seed.items()}
    return Assessment(name, "synthetic", ("membrane", "cell"), members, "labels", "validation")


HARD_AND_EASY = {0: {"a": 0.30, "b": 0.80}, 1: {"a": 0.32, "b": 0.82}}
A_LITTLE_BETTER = {0: {"a": 0.31, "b": 0.82}, 1: {"a": 0.33, "b": 0.84}}
FOLDS = {0: {"a": 0.30, "b": 0.50}, 1: {"c": 0.80, "d": 0.90}}  # each seed holds out other images


def test_a_difference_is_paired_so_that_hard_images_do_not_widen_its_interval():
    none, paper = arm("none", HARD_AND_EASY), arm("paper", A_LITTLE_BETTER)
    (one,) = differences(paper, none)
    assert one.mean == pytest.approx(0.015)
    assert (one.group, one.num_members) == ("paper", 2)
    (row,) = rows_of(none)
    assert one.high - one.low < 0.2 * (row.high - row.low)


def test_only_common_seeds_and_images_count():
    none = arm("none", {**HARD_AND_EASY, 2: {"a": 0.9, "b": 0.9}})
    paper = arm("paper", {seed: {**images, "c": 0.1} for seed, images in A_LITTLE_BETTER.items()})
    (one,) = differences(paper, none)
    assert one.mean == pytest.approx(0.015)
    assert differences(arm("other", {7: {"a": 0.5}}), none) == []


def test_few_images_of_ones_own_have_no_interval_in_differences_either():
    def own(found):
        return replace(found, data="folder")

    two = [own(arm(name, images)) for name, images in (("paper", A_LITTLE_BETTER), ("none", HARD_AND_EASY))]
    (one,) = differences(*two)
    assert (one.mean, one.low, one.high) == (pytest.approx(0.015), None, None)
    many = {0: {str(number): 0.5 + 0.01 * number for number in range(6)}}
    more = {0: {key: value + 0.1 + value / 9 for key, value in many[0].items()}}
    (one,) = differences(own(arm("paper", more)), own(arm("none", many)))
    assert one.low < one.mean < one.high


def test_measures_of_objects_are_of_every_members_own_images():
    def of(key, *, seg=(), det=None):
        return ImageMeasures(key, "run", {}, {"iou": 0.5}, SETTINGS, np.array(seg, float), det)

    tracked = {
        "seed 0": [of("02/a", det=DetCounts(4, 2, 0, 0), seg=[0.5])],
        "seed 1": [of("01/a", det=DetCounts(4, 4, 0, 0), seg=[0.2])],
    }
    rows = {row.measure: row for row in rows_of(Assessment("a", "hela", ("b", "c"), tracked, "gold", "validation"))}
    assert rows["DET"].mean == pytest.approx((0.5 + 0.0) / 2)
    assert rows["SEG"].mean == pytest.approx(0.35)
    blank = {**tracked, "seed 1": [of("01/a")]}
    found = rows_of(Assessment("a", "hela", ("b", "c"), blank, "gold", "validation"))
    assert {row.measure for row in found} == {"iou"}


def test_images_of_two_data_sets_are_not_paired_by_their_keys():
    hela = arm("HeLa", {0: {"01/t000": 0.7, "01/t001": 0.8}})
    u373 = replace(arm("U373", {0: {"01/t000": 0.5}}), data="u373")
    assert differences(u373, hela) == []


def test_seeds_that_hold_out_different_images_are_averaged_first():
    (row,) = rows_of(arm("none", FOLDS))
    assert row.mean == pytest.approx((0.40 + 0.85) / 2)
    assert (row.num_members, row.num_images) == (2, 4)
    better = {seed: {key: iou + 0.05 + seed / 100 for key, iou in images.items()} for seed, images in FOLDS.items()}
    (one,) = differences(arm("paper", better), arm("none", FOLDS))
    assert one.mean == pytest.approx(0.055)
    assert one.low < 0.055 < one.high


def test_the_tables_have_arms_as_rows_and_measures_as_columns():
    text = side_by_side([arm("none", HARD_AND_EASY), arm("paper", A_LITTLE_BETTER)], "none")
    means, gaps = text.split("**Difference to none**, paired by seed and image")
    assert "| arm | mean IoU |" in means
    assert [line.split(" | ")[0] for line in means.splitlines() if line.startswith("| ")] == [
        "| arm", "| ---", "| none", "| paper",
    ]  # fmt: skip
    assert "2 images, 2 seeds" in means
    assert "| paper | +0.015 [" in gaps
    assert "| none" not in gaps


def test_a_single_arm_and_arms_without_common_images_have_no_differences():
    assert "Difference" not in side_by_side([arm("none", HARD_AND_EASY)], "none")
    assert "Difference" not in side_by_side([arm("none", HARD_AND_EASY), arm("x", {5: {"z": 0.5}})], "none")


def test_the_same_numbers_are_written_as_csv():
    arms = [arm("none", HARD_AND_EASY), arm("paper", A_LITTLE_BETTER)]
    none, paper = csv.DictReader(io.StringIO(csv_text(arm_rows(arms, "none"))))
    assert (none["arm"], none["difference"]) == ("none", "")
    assert float(paper["mean"]) == pytest.approx(0.575)
    assert float(paper["difference"]) == pytest.approx(0.015)
    assert (paper["baseline"], paper["seeds"], paper["images"]) == ("none", "2", "2")
