"""A trial's record made up in memory: all arms of the trial, runs shared between comparisons, planted effects."""

import copy
import zlib

import numpy as np

from unet_repro.trial.claims import CLAIMS
from unet_repro.trial.run_record import RunRecord, rounded

STEPS = list(range(25, 1001, 25))
ALL_CELL = 0.39
SETTINGS = {
    "split": {"_target_": "unet_repro.data.splits.replicate", "num_folds": 5, "gap": 1, "fold": 0, "num_train": None},
    "tiles": {"_target_": "unet_repro.data.tiles.Tiles", "size": 572, "budget": "1x572", "unit": "input"},
    "augment": {"_target_": "unet_repro.data.augment.augment.Augment", "flip": True, "elastic_std_px": 10},
    "weight_map": {"_target_": "unet_repro.data.weight_maps.none"},
    "model": {"_target_": "unet_repro.models.unet.UNet", "width": 8, "depth": 4, "norm": "none", "dropout": 0.5},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001},
    "schedule": {"_target_": "unet_repro.training.schedules.constant_then_linear"},
    "trainer": {"max_steps": 1000, "val_every": 25, "precision": "32-true", "max_val_images": None, "compile": False},
    "scale": "laptop",
    "seed": 0,
}
_FEW, _SGD, _FAST = ("split", "num_train", 3), ("optimizer", "_target_", "torch.optim.SGD"), ("optimizer", "lr", 0.01)
# Arm -> IoU above the base, and the settings in which it differs; arms that are the base share its run.
ARMS = {
    "572": (0.0,), "none": (0.0,), "base": (0.0,), "Adam": (0.0,), "Adam, all": (0.0,), "without neighbours": (0.0,),
    "380, equal input": (-0.004, ("tiles", "size", 380)),
    "380, equal output": (0.002, ("tiles", "size", 380), ("tiles", "unit", "output")),
    "class_balance": (-0.021, ("weight_map", "_target_", "class_balance")),
    "border_only": (-0.032, ("weight_map", "_target_", "border_only")),
    "morphological": (-0.09, ("weight_map", "_target_", "morphological")),
    "paper": (-0.056, ("weight_map", "_target_", "paper")),
    "SGD": (-0.06, _SGD), "SGD, all": (-0.06, _SGD), "Adam, 3": (-0.08, _FEW), "SGD, 3": (-0.1, _FEW, _SGD),
    "constant": (-0.12, _FAST, ("schedule", "_target_", "constant")),
    "plateau": (-0.02, _FAST, ("schedule", "_target_", "plateau")),
    "with elastic": (-0.08, _FEW), "without elastic": (-0.1, _FEW, ("augment", "elastic_std_px", 0)),
    "no augmentation": (-0.16, _FEW, ("augment", "elastic_std_px", 0), ("augment", "flip", False)),
    "with neighbours": (0.03, ("split", "_target_", "neighbours")),
    "batch": (0.034, ("model", "norm", "batch")), "instance": (0.018, ("model", "norm", "instance")),
}  # fmt: skip


def made_trial(
    seeds, *, scale="laptop", width=8, steps=1000, data="isbi2012", skip=lambda experiment, arm, seed: False
):
    """The record of a trial.

    Args:
        seeds: Its seeds.
        scale: Name of the scale.
        width: Channels of its networks.
        steps: Their training steps.
        data: Name of the source.
        skip: Whether a run has not been trained, by experiment, arm and seed.
    """
    found = {}
    for seed in seeds:
        for claim in CLAIMS:
            for part in claim.parts:
                for arm in part.arms:
                    if skip(part.experiment, arm, seed):
                        continue
                    known = "no augmentation" if (part.experiment, arm) == ("augmentation", "none") else arm
                    record = made_run(
                        part.experiment, arm, seed, *ARMS[known], scale=scale, width=width, steps=steps, data=data
                    )
                    arms = found[record.run_id].arms if record.run_id in found else {}
                    record.arms.update(arms)
                    found[record.run_id] = record
    return sorted(found.values(), key=lambda record: (record.seed, record.run_id))


def made_run(experiment, arm, seed, effect=0.0, *changes, scale="laptop", width=8, steps=1000, data="isbi2012"):
    """One run: its noise is a function of its identity; the fold is shared by all arms of a seed."""
    config = copy.deepcopy(SETTINGS) | {"scale": scale, "seed": seed}
    config["model"]["width"], config["trainer"]["max_steps"] = width, steps
    config["split"]["fold"] = fold = seed % 5
    for section, key, value in changes:
        config[section][key] = value
    run_id = f"{zlib.crc32(f'{changes}{seed}{scale}{data}'.encode()):08x}{seed:04d}"
    rng, of_fold = np.random.default_rng(int(run_id[:8], 16)), np.random.default_rng(fold)
    held_out = [f"train/{number:02d}" for number in range(6 * fold, 6 * fold + 6)]
    if arm == "with neighbours":
        held_out = held_out[2:4]
    train = [f"train/{number:02d}" for number in range(30) if abs(number - 6 * fold - 2.5) > 4]
    iou = 0.74 + of_fold.normal(0, 0.02) + effect + rng.normal(0, 0.006)
    scaled = np.array(STEPS) * steps // 1000
    rise = 1 - np.exp(-np.array(STEPS) / 180)
    curve = ALL_CELL + (iou - ALL_CELL) * rise + rng.normal(0, 0.012 if "380" in arm else 0.007, len(STEPS)) * rise
    if arm == "constant":
        curve[-8:] -= 0.05
    curve[-1] = iou
    own = {key: {"iou": iou + of_fold.normal(0, 0.01), "v_rand": min(0.99, iou + 0.1)} for key in held_out}
    half = {key: {"iou": one["iou"] - 0.02, "v_rand": one["v_rand"] - 0.1} for key, one in own.items()}
    seven = {
        key: {"iou": one["iou"] + 0.003 + rng.normal(0, 0.001), "v_rand": one["v_rand"]} for key, one in own.items()
    }
    border = {"mirror": -0.01, "zeros": -0.03, "inner, real": -0.005, "inner, mirror": -0.009}
    gap = 0.09 if arm == "Adam, 3" else 0.07 if arm == "SGD, 3" else 0.01
    evaluation = {
        "name": "trial", "version": 1, "sections": ["scores", "views", "border", "seam"],
        "transform": {"checkpoint": "last", "padding": "mirror", "device": "cpu"},
        "at_threshold": {"1": own, "7": seven}, "at_half": {"1": half, "7": half},
        "loss": {"val": dict.fromkeys(held_out, 0.3 + gap + rng.normal(0, 0.004)), "train": dict.fromkeys(train, 0.3)},
        "all_cell": dict.fromkeys(held_out, ALL_CELL),
        "border": {name: dict.fromkeys(held_out, iou + less + rng.normal(0, 0.002)) for name, less in border.items()},
        "seam": dict.fromkeys(held_out, 0.3 if arm == "instance" else 0.0),
    }  # fmt: skip
    columns = {"val/iou": curve - 0.015, "val/iou_own": curve, "val/loss": 1.1 - curve, "train/ce": 1.05 - curve}
    return RunRecord(
        run_id=run_id[:12], seed=seed, fold=fold, arms={experiment: arm}, scale=scale, data=data, settings=config,
        manifest={
            "source": data, "digest": f"{fold:064d}", "split": {"train": train, "val": held_out, "test": []},
            "samples": {key: f"content of {key}" for key in [*train, *held_out]},
        },
        code_version=3,
        curve=rounded({"step": scaled.tolist(), **{name: values.tolist() for name, values in columns.items()}}),
        evaluation=rounded(evaluation), failed=None,
        outcome={"seconds": 150.0, "device": "cpu", "commit": "0123456789ab", "torch": "2.13.0+cpu", "threads": 1,
                 "instruction_set": "AVX512"},
        weights_sha256="0" * 64,
    )  # fmt: skip
