"""Finished runs made up in memory: a comparison of which every property can be spoilt."""

import copy
from types import SimpleNamespace

import numpy as np

from unet_repro.sweep.ledger import Entry
from unet_repro.trial.finished_runs import Run

IMAGES = [f"train/{n}" for n in range(24, 30)]
TRAINED = [f"train/{n}" for n in range(23)]
MADE_BY = {"commit": "abc", "torch": "2.13.0", "device": "cpu"}
TRANSFORM = {"part": "val", "checkpoint": "last", "padding": "mirror", "augmentation": "none", "device": "cpu"}
CONFIG = {
    "data": {"root": None},
    "split": {"_target_": "contiguous", "val_share": 0.2},
    "tiles": {"size": 572, "budget": "1x572", "unit": "input"},
    "augment": {"flip": False, "elastic_std_px": 10},
    "weight_map": {"_target_": "none"},
    "model": {"width": 8, "depth": 4, "dropout": 0.1, "norm": "none"},
    "optimizer": {"_target_": "torch.optim.SGD", "lr": 1e-3, "momentum": 0.99},
    "schedule": {"_target_": "constant"},
    "trainer": {"max_steps": 320, "val_every": 40, "precision": "32-true", "threads": 1, "accelerator": "cpu"},
    "logger": {"mode": "disabled"},
    "experiment": None,
    "arm": None,
    "scale": "cpu",
    "seed": 0,
    "runs_dir": "runs",
}


def made_run(
    arm,
    seed=0,
    *,
    config=None,
    iou=0.5,
    curve=None,
    val_images=IMAGES,
    train_images=TRAINED,
    run_id=None,
    seconds_at=None,
    tuning_trials=0,
):
    """A run whose images all have about the same IoU.

    Args:
        arm: Its arm.
        seed: Its seed.
        config: Settings that differ from the usual, by dotted name.
        iou: One value for all images, or one for each.
        curve: IoU at each validation.
        val_images: Images that judge it.
        train_images: Images that trained it.
        run_id: Its identity.
        seconds_at: Training time at each validation.
        tuning_trials: Trainings that chose its settings.
    """
    settings = copy.deepcopy(CONFIG)
    settings["seed"] = seed
    for name, value in (config or {}).items():
        section, key = name.split(".")
        settings[section][key] = value
    curve = list(curve if curve is not None else np.linspace(0.3, 0.5, 8))
    ious = np.broadcast_to(iou, len(val_images)).tolist()
    measures = {
        image: {"iou": value, "pair_f_score": value, "loss": 1 - value, "iou_band": value, "max_difference": value}
        for image, value in zip(val_images, ious, strict=True)
    }
    record = {"version": 1, "transform": dict(TRANSFORM), "variants": {"whole": measures}}
    entry = Entry(
        "made", arm, seed, "cpu", "isbi2012", "", run_id or f"{arm}-{seed}", (), 1.0, "c", tuning_trials=tuning_trials
    )
    run = Run(entry, SimpleNamespace(path=None), {"val": record})
    run.__dict__["config"] = settings
    run.__dict__["manifest"] = {
        "source": "isbi2012",
        "split": {"train": list(train_images), "val": list(val_images), "test": []},
        "samples": {key: {"image": f"i{key}", "labels": f"l{key}"} for key in [*train_images, *val_images]},
    }
    steps = [float(40 * (n + 1)) for n in range(len(curve))]
    run.__dict__["history"] = {
        "step": steps,
        "val/iou": curve,
        "val/loss": [0.5] * len(curve),
        "train/ce": [0.4] * len(curve),
    }
    run.__dict__["outcome"] = {
        "batch": {"num_tiles": 1, "tile_size": 572, "input_pixels": 327184, "output_pixels": 150544},
        "steps": 320,
        "made_by": dict(MADE_BY),
        "seconds_at": seconds_at or [10.0 * (n + 1) for n in range(len(curve))],
        "final": {"val/iou": curve[-1]},
    }
    return run


def made_arms(names, seeds=(0, 1, 2), **keywords):
    """Runs of several arms, alike but for their names, and the settings that ``keywords`` gives by arm."""
    return {name: [made_run(name, seed, **keywords.get(name, {})) for seed in seeds] for name in names}
