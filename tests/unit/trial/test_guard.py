"""Every way of making a comparison unfair is caught, and a fair one is let through."""

import pytest
from made_runs import IMAGES, TRAINED, made_run

from unet_repro.trial.claims import Claim
from unet_repro.trial.contrasts import versus
from unet_repro.trial.guard import guard

CLAIM = Claim(
    id="C0",
    statement="A is better than B.",
    source="a test",
    experiment="made",
    varies=("weight_map",),
    contrasts=(versus("A", "B", "iou_per_image", "higher", 0.01),),
    rule="Higher IoU.",
)
MAPS = {"weight_map._target_": "paper"}


def arms(change=lambda runs: None, *, b_config=None, seeds=(0, 1, 2), **b_runs):
    runs = {
        "A": [made_run("A", seed) for seed in (0, 1, 2)],
        "B": [made_run("B", seed, config={**MAPS, **(b_config or {})}, **b_runs) for seed in seeds],
    }
    change(runs)
    return runs


def of_all(runs, key, value):
    for run in runs["B"]:
        run.outcome[key] = value


def test_arms_that_differ_in_what_the_claim_varies_are_fair():
    found = guard(CLAIM, arms())
    assert found.fair
    assert found.unfair == ()
    assert found.labels == ()


def _spoil_content(runs):
    runs["B"][1].manifest["samples"][IMAGES[0]] = {"image": "other", "labels": "l"}


def _spoil_source(runs):
    for run in runs["B"]:
        run.manifest["source"] = "synthetic"


def _spoil_transform(runs):
    runs["B"][0].evaluations["val"]["transform"]["padding"] = "zero"


def _spoil_checkpoint(runs):
    for run in runs["B"]:
        run.evaluations["val"]["transform"]["checkpoint"] = "best"


def _spoil_version(runs):
    for run in runs["B"]:
        run.evaluations["val"]["version"] = 2


def _spoil_one_seed(runs):
    runs["B"][2].config["model"]["dropout"] = 0.5


def _spoil_output(runs):
    of_all(runs, "batch", {"num_tiles": 2, "tile_size": 380, "input_pixels": 288800, "output_pixels": 76832})


def _spoil_updates(runs):
    for run in runs["B"]:
        run.history["step"][-1] = 640.0


def _spoil_validations(runs):
    for run in runs["B"]:
        run.history["step"][2] = 121.0


UNFAIR = {
    "another learning rate": (arms(b_config={"optimizer.lr": 1e-2}), "optimizer.lr"),
    "another optimizer": (arms(b_config={"optimizer._target_": "torch.optim.Adam"}), "optimizer._target_"),
    "another schedule": (arms(b_config={"schedule._target_": "cosine"}), "schedule._target_"),
    "other augmentation": (arms(b_config={"augment.elastic_std_px": 0}), "augment.elastic_std_px"),
    "a wider network": (arms(b_config={"model.width": 16}), "model.width"),
    "normalisation": (arms(b_config={"model.norm": "batch"}), "model.norm"),
    "more steps": (arms(b_config={"trainer.max_steps": 640}), "trainer.max_steps"),
    "another precision": (arms(b_config={"trainer.precision": "bf16-mixed"}), "trainer.precision"),
    "a setting that the other lacks": (arms(b_config={"optimizer.weight_decay": 0.1}), "weight_decay"),
    "one seed set otherwise": (arms(_spoil_one_seed), "seeds of 'B' differ in model.dropout"),
    "other images judge": (arms(val_images=IMAGES[:4]), "judged on different images"),
    "fewer images train": (arms(train_images=TRAINED[:6]), "train on different images"),
    "validation images train": (arms(train_images=[*TRAINED, IMAGES[0]]), "validates on images that it trained on"),
    "other content under one name": (arms(_spoil_content), "another content"),
    "another source": (arms(_spoil_source), "different data"),
    "zero padding in the evaluation": (arms(_spoil_transform), "'val' was made in different ways, padding"),
    "the best weights for one arm": (arms(_spoil_checkpoint), "checkpoint"),
    "another version of the evaluation": (arms(_spoil_version), "version"),
    "fewer output pixels a step": (arms(_spoil_output), "output pixels"),
    "more updates in truth": (arms(_spoil_updates), "different numbers of updates"),
    "validations at other steps": (arms(_spoil_validations), "validated at different steps"),
    "one arm was tuned": (arms(tuning_trials=20), "unequal tuning effort"),
    "the same runs twice": (arms(lambda runs: runs.update(B=runs["A"])), "the same runs"),
}


@pytest.mark.parametrize("way", UNFAIR)
def test_an_unfair_comparison_is_refused_with_its_reason(way):
    runs, reason = UNFAIR[way]
    found = guard(CLAIM, runs)
    assert not found.fair
    assert any(reason in line for line in found.unfair), found.unfair


def test_what_a_claim_declares_may_differ_and_is_told():
    varied = Claim(**{**vars(CLAIM), "varies": ("weight_map", "split", "optimizer")})
    found = guard(varied, arms(b_config={"optimizer.lr": 1e-2}, train_images=TRAINED[:6]))
    assert found.fair
    assert any("training images: 23 for A, 6 for B" in label for label in found.labels)
    assert any("no arm's settings were searched" in label for label in found.labels)


def test_tile_sizes_may_differ_if_input_or_output_pixels_are_as_equal_as_whole_tiles_can_be():
    varied = Claim(**{**vars(CLAIM), "varies": ("weight_map", "budget.input", "budget.output")})
    found = guard(varied, arms(_spoil_output))
    assert found.fair
    assert any("output pixels a step: 150544 for A, 76832 for B" in label for label in found.labels)
    quarter = {"num_tiles": 1, "tile_size": 252, "input_pixels": 63504, "output_pixels": 4624}
    found = guard(varied, arms(lambda runs: of_all(runs, "batch", quarter)))
    assert "neither input nor output" in found.unfair[0]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [("commit", "def", "commits: abc, def"), ("torch", "2.6.0", "versions of torch"), ("device", "H100", "devices")],
)
def test_other_code_or_machines_are_labels(key, value, told):
    found = guard(CLAIM, arms(lambda runs: runs["B"][0].outcome["made_by"].update({key: value})))
    assert found.fair
    assert told in found.labels[0]


def test_uncommitted_changes_and_missing_seeds_are_labels():
    found = guard(CLAIM, arms(lambda runs: of_all(runs, "made_by", {"commit": "a-dirty", "torch": "", "device": ""})))
    assert any("uncommitted" in label for label in found.labels)
    assert any("different seeds" in label for label in guard(CLAIM, arms(seeds=(0, 1))).labels)


def test_placement_and_recording_are_no_differences():
    assert guard(CLAIM, arms(b_config={"trainer.threads": 8, "logger.mode": "offline"})).labels == ()
