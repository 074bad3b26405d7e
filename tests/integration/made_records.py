"""Runs of the trial made up in memory: every arm of every part, with planted effects, and every property to spoil."""

import copy
import zlib

import numpy as np

from unet_repro.trial.claims import CLAIMS
from unet_repro.trial.run_record import RunRecord

PARTS = {part.id: part for claim in CLAIMS for part in claim.parts}
ALL_CELL = 0.39
STEPS = [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]
SETTINGS = {
    "split": {"_target_": "replicate", "num_folds": 5, "fold": 0, "gap": 1, "num_train": None, "draw_seed": 0},
    "tiles": {"size": 572, "budget": "1x572", "unit": "input"},
    "augment": {"flip": True, "elastic_std_px": 10},
    "weight_map": {"_target_": "none"},
    "model": {"width": 8, "depth": 4, "norm": "none"},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3},
    "schedule": {"_target_": "constant_then_linear"},
    "trainer": {"max_steps": 1000, "val_every": 100, "precision": "32-true"},
    "scale": "laptop",
    "seed": 0,
}
OUTCOME = {
    "seconds": 150.0,
    "device": "cpu",
    "commit": "abc",
    "torch": "2.13.0",
    "instruction_set": "AVX512",
    "threads": 1,
}


def slices(fold):
    """Held-out and training slices of a fold."""
    held_out = list(range(6 * fold, 6 * fold + 6))
    gap = {held_out[0] - 1, held_out[-1] + 1}
    train = [number for number in range(30) if number not in held_out and number not in gap]
    return [f"train/{number:02d}" for number in train], [f"train/{number:02d}" for number in held_out]


def made_record(
    experiment="weight_map",
    arm="none",
    seed=100,
    *,
    iou=0.7,
    settings=None,
    curve=None,
    val=None,
    gap=0.0,
    border=None,
    seam=0.0,
    seven=None,
    failed=None,
    **changes,
):
    """A run of which all held-out slices have the same IoU.

    Args:
        experiment: A comparison that it belongs to.
        arm: Its arm there.
        seed: Its seed.
        iou: IoU of every slice, at both thresholds.
        settings: Settings that differ from the usual, by dotted name.
        curve: IoU at each validation; by default it rises to ``iou``.
        val: Keys of its held-out slices.
        gap: Generalisation gap.
        border: Name of the border evaluation -> IoU, where it differs.
        seam: Largest difference between stitched and whole predictions.
        seven: IoU of 7 views; as of one by default.
        failed: Message of a failed run.
        changes: Other fields of the record.
    """
    fold = changes.pop("fold", seed % 5)
    train, held_out = slices(fold)
    held_out = held_out if val is None else list(val)
    config = copy.deepcopy(SETTINGS)
    config["seed"], config["split"]["fold"], config["split"]["draw_seed"] = seed, fold, seed
    for name, value in (settings or {}).items():
        section, key = name.split(".")
        config[section][key] = value
    ious = list(np.linspace(0.5, iou, len(STEPS)) if curve is None else curve)
    edges = dict.fromkeys(("mirror", "zeros", "inner, real", "inner, mirror"), iou) | (border or {})
    of_slices = {key: {"iou": iou, "v_rand": iou} for key in held_out}
    of_seven = {key: {"iou": seven or iou, "v_rand": seven or iou} for key in held_out}
    evaluation = {
        "name": "trial",
        "version": 1,
        "transform": {"checkpoint": "last", "padding": "mirror", "device": "cpu"},
        "at_threshold": {"1": of_slices, "7": of_seven},
        "at_half": {"1": of_slices, "7": of_seven},
        "loss": {"val": dict.fromkeys(held_out, 0.3 + gap), "train": dict.fromkeys(train, 0.3)},
        "all_cell": dict.fromkeys(held_out, ALL_CELL),
        "border": {name: dict.fromkeys(held_out, value) for name, value in edges.items()},
        "seam": dict.fromkeys(held_out, seam),
    }
    fields = {
        "run_id": f"{zlib.crc32(f'{experiment}/{arm}/{seed}'.encode()):08x}",
        "seed": seed,
        "fold": fold,
        "arms": {experiment: arm},
        "scale": "laptop",
        "data": "isbi2012",
        "settings": config,
        "manifest": {
            "source": "isbi2012",
            "digest": "d",
            "split": {"train": train, "val": held_out, "test": []},
            "samples": {key: f"content of {key}" for key in [*train, *held_out]},
        },
        "code_version": 3,
        "curve": {"step": STEPS[: len(ious)], "val/iou": ious, "val/iou_own": ious},
        "evaluation": None if failed else evaluation,
        "failed": failed,
        "outcome": dict(OUTCOME),
        "weights_sha256": "w",
    }
    return RunRecord(**{**fields, **changes})


def middle(fold):
    """The middle two held-out slices of a fold."""
    return slices(fold)[1][2:4]


_DIFFERS = {
    "C1a": "tiles.size", "C1b": "tiles.size", "C2": "weight_map._target_", "C3a": "optimizer._target_",
    "C3b": "optimizer._target_", "C4": "optimizer._target_", "C5": "schedule._target_", "C6": "augment.flip",
    "C10a": "model.norm",
}  # fmt: skip


def made_part(part_id, seeds, *, effects=None, sd=0.004, rng=None, **of_arms):
    """Runs of every arm of a part, paired by seed.

    Args:
        part_id: The part.
        seeds: The seeds.
        effects: Arm -> its IoU above 0.7.
        sd: Standard deviation of each run's IoU.
        rng: Source of the noise.
        of_arms: Arm with ``_`` for other characters -> further arguments of ``made_record``, or a function of the seed
            that returns them.
    """
    part = PARTS[part_id]
    rng = rng or np.random.default_rng(zlib.crc32(part_id.encode()))
    records = []
    for seed in seeds:
        for arm in part.arms:
            more = of_arms.get(arm.replace(" ", "_").replace(",", ""), {})
            more = dict(more(seed) if callable(more) else more)
            settings = {_DIFFERS[part_id]: arm} if part_id in _DIFFERS else {}
            if arm == "with neighbours":
                settings, more = {"split._target_": "neighbours"}, {"val": middle(seed % 5), **more}
            settings |= more.pop("settings", {})
            iou = 0.7 + (effects or {}).get(arm, 0.0) + rng.normal(0, sd)
            records.append(made_record(part.experiment, arm, seed, **{"iou": iou, "settings": settings, **more}))
    return records
