"""Data of a report page with invented numbers and generated pictures, for tests and for looking at."""

import base64
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Plain = dict[str, Any]

SIZE = 96
NAUGHTY = '</script><b id="inert">A, "x" < y + z</b>'  # an arm that must stay text
METRICS = (
    ("val/iou", "mean IoU", True),
    ("val/iou_membrane", "IoU of membrane", True),
    ("val/loss", "validation cross-entropy", False),
)
EXPERIMENTS = (
    ("tile_size", "Tile size", "C1", ["572", "380, equal input", "252, equal input", "380, equal output"]),
    ("weight_map", "Weight map", "C2", ["none", "class_balance", "border_only", "morphological", "paper"]),
    ("optimizer", "Optimizer", "C3", ["SGD 0.99, 1e-3", "Adam, 1e-3", "Adam, 3e-4"]),
    ("few_images", "Few images", "C4", [f"{name}, {few}" for name in ("SGD", "Adam") for few in (3, 6, 12, "all")]),
    ("augmentation", "Augmentation", "C6", ["none", "flips and rotations", "+ grey values", "+ elastic"]),
    ("names", "Names", "C7", [NAUGHTY, "plain"]),
)
WORDS = ("inconclusive", "refuted", "supported", "inconclusive", "pending", "refused")


def sample(num_runs: int = 36, *, complete: bool = False, data: str = "isbi2012") -> Plain:
    """What ``unet_repro.report.page.render`` takes, with about this many runs; 0 for a suite that has just begun."""
    rng = np.random.default_rng(0)
    num_arms = sum(len(arms) for _, _, _, arms in EXPERIMENTS)
    seeds = -(-num_runs // num_arms)
    comparisons = [_comparison(rng, at, seeds, data) for at in range(len(EXPERIMENTS))] if num_runs else []
    made = {
        "time": "2026-11-24T05:00:00Z", "version": "0.1.0", "commit": "7c14a16" if num_runs else None,
        "command": "make reproduce-ablations SCALE=cpu DATA=isbi2012 SEEDS=3", "complete": complete,
        "done": num_runs, "planned": num_runs + (0 if complete else 6), "running": 0 if complete else 2, "failed": 0,
        "minutes": 1.2 * num_runs,
    }  # fmt: skip
    if not num_runs:
        empty: Plain = {"verdicts": [], "comparisons": [], "gallery": {"tiles": {}, "predictions": {}}}
        rest = ("weight_maps", "seed_runs", "deviations", "environment", "data", "commands")
        return {"made": made, **empty, **{name: [] for name in rest}}
    return {
        "made": made,
        "verdicts": [_verdict(rng, at, comparisons[at], seeds) for at in range(len(EXPERIMENTS))],
        "comparisons": comparisons,
        "gallery": _gallery(comparisons, data),
        "weight_maps": [{"name": arm, "image": png(_waves(phase)), "note": f"w0 = {phase}, sigma = 5 px"}
                        for phase, arm in enumerate(EXPERIMENTS[1][3])],
        "seed_runs": [_seed_run(rng, number) for number in range(13)],
        "deviations": [
            {"kind": kind, "where": f"{kind}/file{number}.yaml: setting_{number}", "value": str(number),
             "text": "degrees either way; the paper gives no figure, this one is what later work uses"}
            for number in range(30) for kind in ("paper", "assumed", "deviation")[: 1 + number % 3]
        ],
        "environment": [["Python", "3.11.7"], ["torch", "2.13.0+cpu"], ["machine", "Linux x86_64, 2 cores"]],
        "data": [{"name": data, "digest": "sha256 " + 8 * "0123abcd", "train": 23, "val": 6, "credit": "Invented"}],
        "commands": [made["command"], *(comparison["command"] for comparison in comparisons)],
    }  # fmt: skip


def _comparison(rng: np.random.Generator, at: int, seeds: int, data: str) -> Plain:
    experiment, title, claim, names = EXPERIMENTS[at]
    return {
        "id": f"{experiment}/{data}/cpu", "experiment": experiment, "title": title,
        "question": f"At equal pixels per step, does the choice of {title.lower()} change the final score?",
        "claims": [claim], "data": data, "scale": "cpu",
        "command": f"unet-repro train -m experiment={experiment} seed={','.join(map(str, range(seeds)))} data={data}",
        "metrics": [{"key": key, "name": name, "up": up} for key, name, up in METRICS],
        "arms": [_arm(rng, name, number, seeds, f"{experiment}{number}") for number, name in enumerate(names)],
    }  # fmt: skip


def _arm(rng: np.random.Generator, name: str, number: int, seeds: int, run: str) -> Plain:
    steps = list(range(10, 330, 10))
    level = 0.5 + 0.03 * number
    rise = 1 - np.exp(-np.array(steps) / (60 + 20 * number))
    curves, final = {}, {}
    for key, _, up in METRICS:
        clean = level * rise if up else 1.2 - level * rise
        drawn = clean + rng.normal(0, 0.015, (seeds, len(steps))) + rng.normal(0, 0.02, (seeds, 1))
        values = [[float(f"{value:.6g}") for value in row] for row in drawn]
        ends = [row[-1] for row in values]
        middle, spread = float(np.mean(ends)), 0.03 if seeds > 1 else None
        if number == 1:
            values[-1] = values[-1][: len(steps) // 2]  # one that is still trained
        curves[key] = {"steps": steps, "values": values}
        final[key] = {
            "values": ends, "mean": middle,
            "low": middle - spread if spread else None, "high": middle + spread if spread else None,
        }  # fmt: skip
    return {
        "name": name, "planned": seeds, "seeds": list(range(seeds)), "run_ids": [f"{run}s{k}" for k in range(seeds)],
        "curves": curves, "final": final, "seconds": [40.0 + 12 * number + k for k in range(seeds)],
        "pixels_in": 104_000_000 - 7_000_000 * number, "pixels_out": 48_000_000 - 9_000_000 * (number % 3),
        "tiles": f"{1 + number} x {572 - 64 * number}", "steps": 320,
    }  # fmt: skip


def _verdict(rng: np.random.Generator, at: int, comparison: Plain, seeds: int) -> Plain:
    word, names = WORDS[at], [arm["name"] for arm in comparison["arms"]]
    effects = []
    for number, name in enumerate(names[1:] if word not in ("pending", "refused") else []):
        estimate, half = float(rng.normal(0, 0.03)), 0.02 + 0.01 * number
        effects.append({
            "name": f"{names[0]} − {name}", "measure": "final IoU", "unit": "IoU", "estimate": estimate,
            "low": estimate - half, "high": estimate + half, "margin": 0.01, "p": 0.04 + 0.1 * number,
            "primary": number < 2, "outcome": "unclear",
        })  # fmt: skip
    return {
        "claim": comparison["claims"][0],
        "statement": "At equal pixels per step larger tiles give smoother curves and at least equal IoU.",
        "source": "Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597), section 3", "comparison": comparison["id"],
        "experiment": comparison["experiment"], "verdict": word, "label": "scale cpu (width 8, 320 steps), isbi2012",
        "reason": f"the reason for {word}: the evidence for it is weak; about 12 seeds would settle it",
        "rule": "Final IoU not lower than that of smaller tiles by 0.01 or more, and its curve less rough.",
        "scale": "cpu", "data": comparison["data"], "seeds": seeds,
        "seeds_needed": 12 if at == 0 else None, "images": 6 if effects else 0, "effects": effects,
        "guard": {"fair": word != "refused", "findings": ["train time differs: 43 s to 94 s"] if at < 2 else []},
    }  # fmt: skip


def _gallery(comparisons: list[Plain], data: str) -> Plain:
    tiles = [
        {
            "key": str(24 + number),
            "credit": "Invented",
            "size": SIZE,
            "image": png(_waves(number)),
            "truth": png(truth()),
        }
        for number in range(2)
    ]
    predictions = {
        comparison["id"]: {
            "data": data,
            "arms": {arm["name"]: [png(predicted(number))] * 2 for number, arm in enumerate(comparison["arms"])},
        }
        for comparison in comparisons
    }
    return {"tiles": {data: tiles}, "predictions": predictions}


def truth() -> npt.NDArray[np.uint8]:
    """Cells in the left half."""
    image = np.zeros((SIZE, SIZE), np.uint8)
    image[:, : SIZE // 2] = 255
    return image


def predicted(number: int) -> npt.NDArray[np.uint8]:
    """Arm 0: cells in the upper half. Others: cells everywhere except in a stripe that identifies the arm."""
    image = np.zeros((SIZE, SIZE), np.uint8)
    if number == 0:
        image[: SIZE // 2] = 255
    else:
        image[:] = 255
        image[8 * number : 8 * number + 8] = 0
    return image


def _waves(phase: int) -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[:SIZE, :SIZE] / 7.0
    waves: npt.NDArray[np.uint8] = (127 + 60 * np.sin(x + phase) + 60 * np.cos(y * 1.3 - x / 3)).astype(np.uint8)
    return waves


def png(image: npt.NDArray[np.uint8]) -> str:
    """The image as a data address."""
    done, encoded = cv2.imencode(".png", image)
    assert done
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()


def _seed_run(rng: np.random.Generator, number: int) -> Plain:
    reference = float(rng.uniform(0.6, 0.95))
    done = number % 4 < 3
    stepped, iou = (reference - 0.1, reference - 0.2) if done else (None, None)
    around = [None if value is None else value + side * 0.04 for value in (stepped, iou) for side in (-1, 1)]
    return {
        "arm": f"EM, 512 x{number + 1}, SGD 1e-3", "data": "isbi2012" if number % 2 else "DIC-C2DH-HeLa",
        "reference": reference, "remark": "noisy" if number == 2 else "", "stepped": stepped,
        "stepped_low": around[0], "stepped_high": around[1], "iou": iou, "low": around[2], "high": around[3],
        "seeds": 3 if done else 0, "planned": 3,
    }  # fmt: skip
