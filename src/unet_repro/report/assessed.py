"""What `unet-repro evaluate` writes: measures as JSON, CSV and a table, and a picture of good and bad cases."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy import ndimage
from skimage.segmentation import find_boundaries

from unet_repro.inference.instances import to_instances
from unet_repro.metrics.isbi import THRESHOLDS
from unet_repro.report.crops import error_colours
from unet_repro.runs.folder import write_atomically
from unet_repro.trial.assessment import MEAN, Assessment, ImageMeasures, Row, rows_of

# Measure -> how it is written in tables.
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
CROP_PX = 192


def write_assessments(assessments: Sequence[Assessment], folder: Path, name: str, command: str) -> list[Path]:
    """Writes everything that was measured.

    Args:
        assessments: Groups.
        folder: Where the files go.
        name: What they are called, before ``.json``, ``-images.csv``, ``-thresholds.csv``, ``.md`` and ``-cases.png``.
        command: How they were made, for the table's foot.

    Returns:
        The files.

    Raises:
        RunError: If they cannot be written.
    """
    texts = {
        f"{name}.json": json.dumps([_as_dict(each) for each in assessments], indent=1),
        f"{name}-images.csv": _csv([row for each in assessments for row in _image_rows(each)]),
        f"{name}.md": f"{to_markdown(assessments)}\n\n`{command}`\n",
    }
    if thresholds := [row for each in assessments for row in _threshold_rows(each)]:
        texts[f"{name}-thresholds.csv"] = _csv(thresholds)
    paths = []
    for file_name, text in texts.items():
        write_atomically(folder / file_name, text)
        paths.append(folder / file_name)
    picture = folder / f"{name}-cases.png"
    draw_cases(assessments, picture)
    return [*paths, picture]


def to_markdown(assessments: Sequence[Assessment]) -> str:
    """A table for each group: measures by seeds and by the mean of seeds."""
    return "\n\n".join(_table(each) for each in assessments)


def _table(assessment: Assessment) -> str:
    rows = rows_of(assessment)
    by_name: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_name.setdefault(row.measure, {})[row.of] = row
    first = rows[0]
    seeds = f"{first.num_members} seed{'s' if first.num_members > 1 else ''}"
    head = [
        f"{seeds}, mean [95 % interval]",
        *(["mean of the seeds' probabilities"] if MEAN in assessment.members else []),
    ]
    lines = [
        f"**{assessment.group}** ({assessment.data}, {_count(first.num_images, 'image')})",
        "",
        f"| measure | {' | '.join(head)} | threshold |",
        "| --- | " + "--- | " * len(head) + "--- |",
    ]
    order = [*NAMES, *(name for name in by_name if name not in NAMES)]
    for name in (name for name in order if name in by_name):
        cells = [_cell(by_name[name][of]) if of in by_name[name] else "" for of in ("seeds", MEAN)[: len(head)]]
        thresholds = ", ".join(f"{value:.1f}" for value in by_name[name]["seeds"].thresholds)
        title = NAMES.get(name, name.replace("iou_", "IoU "))
        lines.append(f"| {title} | {' | '.join(cells)} | {thresholds} |")
    lines += ["", f"Objects of SEG and DET: settings chosen on {assessment.settings_from}."]
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _cell(row: Row) -> str:
    digits = 6 if row.measure == "warping_error" else 4
    interval = "" if row.low is None or row.high is None else f" [{row.low:.{digits}f}, {row.high:.{digits}f}]"
    return f"{row.mean:.{digits}f}{interval}"


def _as_dict(assessment: Assessment) -> dict[str, Any]:
    return {
        "group": assessment.group,
        "data": assessment.data,
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
    }


def _image_rows(assessment: Assessment) -> list[dict[str, Any]]:
    """One row an image of each member: the sweep's measures at the threshold 0.5."""
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
        }
        for member, images in assessment.members.items()
        for image in images
        if image.pixel
    ]


def _threshold_rows(assessment: Assessment) -> list[dict[str, Any]]:
    """One row a threshold of each member: means over the stack."""
    rows = []
    for member, images in assessment.members.items():
        drawn = [image for image in images if image.sweep]
        for index, threshold in enumerate(THRESHOLDS if drawn else ()):
            means = {name: float(np.mean([image.sweep[name][index] for image in drawn])) for name in drawn[0].sweep}
            rows.append({"group": assessment.group, "member": member, "threshold": threshold, **means})
    return rows


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.items()} for row in rows)
    return text.getvalue()


def draw_cases(assessments: Sequence[Assessment], path: Path) -> None:
    """Worst, median and best image of each group by SEG: a crop of each where it is most wrong.

    A whole image is never shown.
    """
    chosen = [(each, label, image) for each in assessments for label, image in _cases(each)]
    figure = Figure(figsize=(9.6, 2.5 * len(chosen)), layout="constrained", dpi=90)
    axes = figure.subplots(len(chosen), 4, squeeze=False)
    for row, (assessment, label, measured) in zip(axes, chosen, strict=True):
        image_CHW, truth, probability = assessment.cases[measured.key]
        objects = to_instances(probability, measured.settings)
        part = _most_wrong((objects > 0) != (truth > 0))
        shown = image_CHW[0][part]
        low, high = np.percentile(shown, (0.5, 99.5))
        row[0].imshow(shown, cmap="gray", vmin=low, vmax=high)
        row[1].imshow(_outlined(shown, truth[part], low, high))
        row[2].imshow(_outlined(shown, objects[part], low, high))
        row[3].imshow(error_colours((objects[part] > 0).astype(np.uint8), (truth[part] > 0).astype(np.uint8)))
        row[0].set_ylabel(f"{assessment.group}\n{label}: {measured.key}\nSEG {measured.seg.mean():.3f}", fontsize=7)
        for panel in row:
            panel.set(xticks=[], yticks=[])
    foreground = assessments[0].class_names[-1]
    titles = ["image", "truth", "predicted objects", f"blue: false {foreground}\nvermilion: missed {foreground}"]
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _cases(assessment: Assessment) -> list[tuple[str, ImageMeasures]]:
    images = [image for image in list(assessment.members.values())[-1] if image.seg.size]
    ordered = sorted(images, key=lambda image: float(image.seg.mean()))
    if len(ordered) < 3:
        return [("case", image) for image in ordered]
    return [("worst", ordered[0]), ("median", ordered[len(ordered) // 2]), ("best", ordered[-1])]


def _most_wrong(wrong: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """The square crop, at most half the image's side, that holds the most wrong pixels."""
    side = min(CROP_PX, *(extent // 2 for extent in wrong.shape))
    density = ndimage.uniform_filter(wrong.astype(np.float32), side, mode="constant")
    inside = density[side // 2 : wrong.shape[0] - side + side // 2, side // 2 : wrong.shape[1] - side + side // 2]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return np.s_[int(top) : int(top) + side, int(left) : int(left) + side]


def _outlined(
    shown: npt.NDArray[np.float32], objects: npt.NDArray[np.int32], low: float, high: float
) -> npt.NDArray[np.float32]:
    """The image in grey with the objects' outlines in yellow."""
    grey = np.clip((shown - low) / max(high - low, 1e-6), 0, 1)
    colours = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    outline = find_boundaries(objects, mode="inner")  # type: ignore[no-untyped-call]
    colours[outline] = (0.94, 0.89, 0.26)
    return colours
