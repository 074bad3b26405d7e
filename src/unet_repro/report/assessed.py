"""The files of `unet-repro evaluate`: measures as JSON, CSV and a table, and a picture of good and bad cases."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from unet_repro.data.sources.folder import Folder
from unet_repro.evaluation.measured import MEAN, Assessment, ImageMeasures, pixel_truth
from unet_repro.evaluation.summaries import FEWEST, Row, rows_of, with_interval
from unet_repro.files import counted, csv_text, markdown_table, write_texts
from unet_repro.metrics.isbi import THRESHOLDS
from unet_repro.report.crops import draw_cases
from unet_repro.report.side_by_side import arm_rows, side_by_side

# Measure -> its name in tables.
NAMES = {
    "v_rand": "V_rand, thinned, best threshold",
    "v_info": "V_info, thinned, best threshold",
    "v_rand_unthinned": "V_rand, unthinned, best threshold",
    "v_info_unthinned": "V_info, unthinned, best threshold",
    "warping_error": "warping error, best threshold",
    "rand_error": "Rand error, best threshold",
    "pixel_error_f": "pixel error (1 - F), best threshold",
    "SEG": "SEG",
    "DET": "DET",
    "iou": "mean IoU",
    "dice": "Dice",
    "pixel_error": "share of wrong pixels",
    "iou_stepped": "stepped score",
}
LEADING = ("SEG", "dice", "iou")  # of own data


def write_assessments(
    assessments: Sequence[Assessment], folder: Path, name: str, command: str, *, baseline: str | None = None
) -> list[Path]:
    """Writes all measures, and returns the paths of the files.

    Args:
        assessments: The assessed groups.
        folder: The output folder.
        name: Stem of the files; ``.json``, ``-images.csv``, ``-arms.csv``, ``-thresholds.csv``, ``.md`` and
            ``-cases.jpg`` are added.
        command: The command that produced them, shown below the table.
        baseline: The group that the others are compared with; ``None`` if the groups are no arms of a comparison.

    Raises:
        RunError: If they cannot be written.
    """
    texts = {
        f"{name}.json": json.dumps([_as_dict(each) for each in assessments], indent=1),
        f"{name}-images.csv": csv_text((row for each in assessments for row in _image_rows(each)), digits=6),
    }
    tables = [to_markdown(assessments)]
    if baseline is not None:
        texts[f"{name}-arms.csv"] = csv_text(arm_rows(assessments, baseline), digits=6)
        tables.insert(0, side_by_side(assessments, baseline))
    texts[f"{name}.md"] = "\n\n".join([*tables, f"`{command}`\n"])
    if thresholds := [row for each in assessments for row in _threshold_rows(each)]:
        texts[f"{name}-thresholds.csv"] = csv_text(thresholds, digits=6)
    paths = write_texts(folder, texts)
    if any(image.seg.size for each in assessments for images in each.members.values() for image in images):
        paths.append(folder / f"{name}-cases.jpg")
        draw_cases(assessments, paths[-1])
    return paths


def to_markdown(assessments: Sequence[Assessment]) -> str:
    """A table for each group: measures of the seeds, and of the mean of their probabilities."""
    return "\n\n".join(_table(each) for each in assessments)


def _table(assessment: Assessment) -> str:
    rows = rows_of(assessment)
    by_name: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_name.setdefault(row.measure, {})[row.of] = row
    first = rows[0]
    columns = {
        "seeds": f"{counted(first.num_members, 'seed')}, mean [95 % interval]",
        MEAN: "mean of the seeds' probabilities",
    }
    if MEAN not in assessment.members:
        del columns[MEAN]
    lines = []
    first_names = LEADING if assessment.data == Folder.name else ()
    order = dict.fromkeys([*first_names, *NAMES, *by_name])
    for name in (name for name in order if name in by_name):
        cells = [with_interval(by_name[name][of], digits=4) if of in by_name[name] else "" for of in columns]
        thresholds = ", ".join(f"{value:.1f}" for value in by_name[name]["seeds"].thresholds)
        lines.append([NAMES.get(name, name.replace("iou_", "IoU ")), *cells, thresholds])
    return "\n\n".join([
        f"**{assessment.group}** ({assessment.data}, {counted(first.num_images, 'image')})",
        *_objects(assessment),
        markdown_table(["measure", *columns.values(), "threshold"], lines),
        f"Ground truth: {assessment.truth}.{pixel_truth([assessment.truth])} "
        f"Objects of SEG and DET: settings chosen on {assessment.settings_from}.",
    ])  # fmt: skip


def _objects(assessment: Assessment) -> list[str]:
    """For own data: how many objects there are and were found."""
    if assessment.data != Folder.name:
        return []
    images = [image for image in list(assessment.members.values())[-1] if image.pixel]
    labelled, found = (sum(image.objects[which] for image in images) for which in (0, 1))
    off = np.mean([abs(image.objects[1] - image.objects[0]) for image in images])
    few = f" No intervals from fewer than {FEWEST} images." if len(images) < FEWEST else ""
    return [f"Objects: {labelled} labelled, {found} found; an image's number is off by {off:.1f} on average.{few}"]


def _as_dict(assessment: Assessment) -> dict[str, Any]:
    return {
        "group": assessment.group,
        "data": assessment.data,
        "truth": assessment.truth,
        "settings_from": assessment.settings_from,
        "thresholds": list(THRESHOLDS),
        "measures": [asdict(row) for row in rows_of(assessment)],
        "images": {name: [_image(each) for each in images] for name, images in assessment.members.items()},
    }


def _image(image: ImageMeasures) -> dict[str, Any]:
    return {
        "key": image.key,
        "run_id": image.run_id,
        "pixel": image.pixel,
        "sweep": {name: values.tolist() for name, values in image.sweep.items()},
        "instances": asdict(image.settings),
        "seg": image.seg.tolist(),
        "det": None if image.det is None else asdict(image.det),
        "objects": {"labelled": image.objects[0], "found": image.objects[1]},
    }


def _image_rows(assessment: Assessment) -> list[dict[str, Any]]:
    """One row per image and member, with the sweep's measures at the threshold 0.5."""
    half = min(range(len(THRESHOLDS)), key=lambda index: abs(THRESHOLDS[index] - 0.5))
    return [
        {
            "group": assessment.group,
            "member": member,
            "image": image.key,
            "run_id": image.run_id,
            **image.pixel,
            **{f"{name}@{THRESHOLDS[half]:g}": float(values[half]) for name, values in image.sweep.items()},
            "SEG": float(image.seg.mean()) if image.seg.size else None,
            "objects_labelled": image.objects[0],
            "objects_found": image.objects[1],
        }
        for member, images in assessment.members.items()
        for image in images
        if image.pixel
    ]


def _threshold_rows(assessment: Assessment) -> list[dict[str, Any]]:
    """One row per threshold and member, with means over the stack."""
    rows = []
    for member, images in assessment.members.items():
        drawn = [image for image in images if image.sweep]
        for index, threshold in enumerate(THRESHOLDS if drawn else ()):
            means = {name: float(np.mean([image.sweep[name][index] for image in drawn])) for name in drawn[0].sweep}
            rows.append({"group": assessment.group, "member": member, "threshold": threshold, **means})
    return rows
