"""Every way of making a comparison unfair is caught, and a fair one is let through."""

from dataclasses import replace

import pytest
from made_records import PARTS, made_part, slices

from unet_repro.trial.guard import labels, unfairness
from unet_repro.trial.replicates import by_cell

SEEDS = range(100, 105)


def changed(part="C2", arm="paper", seeds=SEEDS, **changes):
    """Runs of a part; ``changes`` are fields of one arm's records, or functions of the old value."""
    records = made_part(part, seeds)
    experiment = PARTS[part].experiment
    return [
        replace(one, **{name: new(getattr(one, name)) if callable(new) else new for name, new in changes.items()})
        if one.arms[experiment] == arm
        else one
        for one in records
    ]


def setting(name, value):
    section, key = name.split(".")
    return lambda settings: {**settings, section: {**settings[section], key: value}}


def split(**parts):
    return lambda manifest: {**manifest, "split": {**manifest["split"], **parts}}


def evaluation(**changes):
    return lambda old: {**old, **changes}


UNFAIR = {
    "another learning rate": (changed(settings=setting("optimizer.lr", 0.01)), "optimizer.lr"),
    "another schedule": (changed(settings=setting("schedule._target_", "cosine")), "schedule._target_"),
    "a wider network": (changed(settings=setting("model.width", 16)), "model.width"),
    "a larger budget": (changed(settings=setting("tiles.budget", "2x572")), "tiles.budget"),
    "another fold": (changed(fold=4), "but its seed belongs to fold"),
    "another source": (changed(manifest=lambda old: {**old, "source": "mine"}), "different data: isbi2012, mine"),
    "other content": (
        changed(manifest=lambda old: {**old, "samples": {**old["samples"], "train/20": "new"}}),
        "train/20 has another content",
    ),
    "other code": (changed(code_version=4), "code versions: 3, 4"),
    "fewer training slices": (changed(manifest=split(train=["train/20"])), "differ in their train images"),
    "other held-out slices": (changed(manifest=split(val=slices(2)[1])), "no held-out image in common"),
    "trained on what judges": (
        changed(seeds=[100], manifest=split(train=[*slices(0)[0], "train/00"])),
        "judged on images that it was trained on: train/00",
    ),
    "other validations": (changed(curve={"step": [50, 1000], "val/iou_own": [0.5, 0.6]}), "different steps"),
    "another evaluation": (changed(evaluation=evaluation(version=2)), "made in different ways, version"),
    "zero padding": (
        changed(evaluation=evaluation(transform={"checkpoint": "last", "padding": "zeros"})),
        "made in different ways, padding",
    ),
}


@pytest.mark.parametrize("way", UNFAIR)
def test_an_unfair_comparison_has_its_reason(way):
    records, reason = UNFAIR[way]
    found = unfairness(PARTS["C2"], by_cell(records))
    assert any(reason in line for line in found), found


def test_two_arms_that_are_one_run_are_nothing_to_compare():
    records = [replace(one, run_id=str(one.seed)) for one in made_part("C2", SEEDS)]
    assert any("the same run" in line for line in unfairness(PARTS["C2"], by_cell(records)))


def test_one_seed_set_otherwise_is_found():
    records = made_part("C2", SEEDS)
    records[-1].settings["model"]["depth"] = 3
    assert any(
        "the seeds of 'paper' differ in model.depth" in line for line in unfairness(PARTS["C2"], by_cell(records))
    )


def test_a_seed_has_one_fold_outside_the_trial_too():
    records = made_part("C2", range(3))
    records[0] = replace(records[0], fold=2)
    assert any("seed 0 has more than one fold" in line for line in unfairness(PARTS["C2"], by_cell(records)))


@pytest.mark.parametrize("part", PARTS)
def test_arms_that_differ_in_what_the_part_declares_are_fair(part):
    assert unfairness(PARTS[part], by_cell(made_part(part, SEEDS))) == ()


def test_only_what_varies_the_split_may_differ_in_images():
    few = {"split._target_": "replicate", "split.num_train": 3}
    records = [
        replace(
            one,
            settings=setting("split.num_train", few["split.num_train"])(one.settings),
            manifest=split(train=one.manifest["split"]["train"][:3])(one.manifest),
        )
        if one.arms["few_images"].endswith(", 3")
        else one
        for one in made_part("C4", SEEDS)
    ]
    assert unfairness(PARTS["C4"], by_cell(records)) == ()
    assert unfairness(PARTS["C3b"], by_cell(records)) == ()  # both of its arms have three slices


def test_runs_outside_the_trial_do_not_spoil_it():
    pilot = [replace(one, code_version=1) for one in made_part("C2", range(5))]
    assert unfairness(PARTS["C2"], by_cell(pilot + made_part("C2", SEEDS))) == ()


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("commit", "def", "2 versions (commits)"),
        ("torch", "2.6.0", "versions of torch"),
        ("device", "H100", "devices"),
        ("instruction_set", "AVX2", "instruction sets"),
        ("commit", "abc-dirty", "2 versions (commits)"),
    ],
)
def test_other_code_or_machines_are_labels(key, value, found):
    records = made_part("C2", SEEDS)
    assert labels(records) == ()
    records[0].outcome[key] = value
    lines = labels(records)
    assert found in lines[0]
    assert any("not committed" in line for line in lines) == value.endswith("-dirty")
