"""Data of report pages: a made-up trial with generated pictures, for tests and for looking at."""

import base64
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from made_trial import made_trial

from unet_repro.report.arm_runs import ArmRun, runs_of_record
from unet_repro.report.arms import arms_of, comparisons_of
from unet_repro.report.page_data import page_data
from unet_repro.report.verdicts import in_context
from unet_repro.trial.judge import judge
from unet_repro.trial.looks import FIRST_SEED

Plain = dict[str, Any]

SIZE = 96
NAUGHTY = '</script><b id="inert">A, "x" < y + z</b>'  # an arm that must stay text
SCALES = {"smoke": (2, 8), "cpu": (8, 320), "laptop": (8, 1000)}  # width and steps


def sample(
    num_seeds: int = 3, *, scale: str = "cpu", complete: bool = True, data: str = "isbi2012", record: str = ""
) -> Plain:
    """What ``unet_repro.report.page.render`` takes: of the trial at a scale, or of a suite that has just begun.

    Args:
        num_seeds: Number of seeds; from 100 on at the scale ``laptop``, else from 0; 0 for no run.
        scale: Name of the scale.
        complete: Whether all runs are finished; otherwise some of the last seed are missing.
        data: Name of the source.
        record: What identifies the record; empty for a page of runs on disk.
    """
    first, (width, steps) = FIRST_SEED if scale == "laptop" else 0, SCALES[scale]
    last = first + num_seeds - 1
    records = made_trial(
        range(first, first + num_seeds), scale=scale, width=width, steps=steps, data=data,
        skip=lambda experiment, arm, seed: not complete and seed == last and arm in ("paper", "instance"),
    )  # fmt: skip
    runs = runs_of_record(records)
    if not complete:
        runs = [_still_trained(run) if run.arm == "380, equal input" and run.seed == last else run for run in runs]
    tiles = [run for run in runs if run.experiment == "tile_size"]
    for arm, name in (("572", NAUGHTY), ("380, equal input", "plain")):
        runs += [replace(run, experiment="names", arm=name) for run in tiles if run.arm == arm]
    trials = [in_context(judge(records, scale), records)] if records else []
    found = page_data(runs, trials, _pictures(runs, data) if runs else {}, record=record)
    found["made"] |= {"time": None if record else "2026-11-24T05:00:00Z", "complete": complete and bool(runs)}
    return found


def _still_trained(run: ArmRun) -> ArmRun:
    curves = {name: values[: len(values) // 2] for name, values in run.curves.items()}
    return replace(run, state="running", curves=curves, final={}, images={}, settings={}, manifest={}, made_by={})


def _pictures(runs: list[ArmRun], data: str) -> Plain:
    tiles = [
        {"title": f"image {24 + number}, held out", "credit": "Invented", "size": SIZE, "image": png(_waves(number)),
         "truth": png(truth())}
        for number in range(2)
    ]  # fmt: skip
    predictions = {}
    for place, arms in comparisons_of(arms_of(runs)).items():
        shown = {arm.name: [png(predicted(number))] * 2 for number, arm in enumerate(arms)}
        predictions[place] = {"data": data, "arms": shown}
    maps = [
        {"name": name, "image": png(_waves(phase)), "note": "0.1 to 12"} for phase, name in enumerate(("image", "none"))
    ]
    return {
        "gallery": {"tiles": {data: tiles}, "predictions": predictions, "missing": []},
        "weight_maps": maps,
    }


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
