"""Measures of records: values by hand, common slices, missing sections, and failed runs as all-cell networks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made_records import ALL_CELL, STEPS, made_record, middle

from unet_repro.trial.measures import MEASURES, as_all_cell, drop, early_iou, gap, has_started, roughness, seam

CURVE = [0.1, 0.5, 0.6, 0.7, 0.5, 0.6, 0.8, 0.7, 0.7, 0.6]


def test_measures_of_curves():
    record = made_record(curve=CURVE)
    assert roughness(record) == pytest.approx(np.std([0.2, -0.1, 0.0, -0.1], ddof=1))  # steps 600 to 1000
    assert early_iou(record) == pytest.approx((0.1 + 0.5) / 2)  # steps 100 and 200 of 250
    assert drop(record) == pytest.approx(0.2)
    assert drop(made_record(curve=sorted(CURVE))) == 0


def test_too_few_validations_have_no_roughness():
    record = made_record(curve=[0.5, 0.6, 0.7])
    assert math.isnan(roughness(record))


def test_values_are_means_over_the_slices_asked_for():
    record = made_record(seed=101)
    for number, key in enumerate(record.held_out):
        record.evaluation["at_threshold"]["1"][key]["iou"] = 0.1 * number
        record.evaluation["loss"]["val"][key] = 0.5 + number
        record.evaluation["seam"][key] = 0.001 * number
    assert MEASURES["iou"].value(record, record.held_out) == pytest.approx(0.25)
    assert MEASURES["iou"].value(record, middle(1)) == pytest.approx(0.25)
    assert MEASURES["iou"].value(record, record.held_out[:1]) == 0
    assert gap(record, record.held_out) == pytest.approx(0.5 + 2.5 - 0.3)
    assert seam(record, record.held_out) == pytest.approx(0.005)


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_has_a_value_and_without_an_evaluation_none(name):
    record = made_record(gap=0.1, curve=CURVE)
    assert math.isfinite(MEASURES[name].value(record, record.held_out))
    bare = replace(record, evaluation=None, curve={"step": STEPS[:1], "val/iou_own": [0.5]})
    assert math.isnan(MEASURES[name].value(bare, record.held_out)) or name == "drop"


def test_sections_are_not_taken_for_each_other():
    record = made_record(
        iou=0.5, border={"mirror": 0.1, "zeros": 0.2, "inner, real": 0.3, "inner, mirror": 0.4}, seven=0.6
    )
    names = ("border_mirror", "border_zeros", "border_inner_real", "border_inner_mirror", "iou_7_views", "iou")
    found = [MEASURES[name].value(record, record.held_out) for name in names]
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.6, 0.5])


@pytest.mark.parametrize(("best", "starts"), [(ALL_CELL, False), (ALL_CELL + 0.049, False), (ALL_CELL + 0.051, True)])
def test_a_run_starts_if_any_validation_exceeds_the_all_cell_score_by_more_than_005(best, starts):
    assert has_started(made_record(curve=[0.2, best, 0.3])) is starts


def test_a_failed_run_is_an_all_cell_network_from_its_failure_on():
    failed = made_record(failed="the loss is nan at step 350", curve=[0.5, 0.66, float("nan")])
    filled = as_all_cell(failed, dict.fromkeys(failed.held_out, ALL_CELL), STEPS)
    assert filled.curve["val/iou_own"] == pytest.approx([0.5, 0.66, *[ALL_CELL] * 8])
    assert has_started(filled)
    assert drop(filled) == pytest.approx(0.66 - ALL_CELL)
    values = {name: measure.value(filled, filled.held_out) for name, measure in MEASURES.items()}
    for name in ("iou", "iou_half", "iou_7_views", "border_mirror", "border_zeros", "border_inner_real"):
        assert values[name] == pytest.approx(ALL_CELL)
    assert values["gap"] == 0
    assert values["seam"] == 0
    assert math.isnan(values["v_rand"])
