"""The arms of a comparison side by side: arms as rows, measures as columns, and the differences to one of the arms."""

from collections.abc import Sequence
from typing import Any

from unet_repro.evaluation.measured import Assessment
from unet_repro.evaluation.summaries import Difference, Row, differences, rows_of, with_interval
from unet_repro.files import counted, markdown_table

# The main measures and their headings; all measures are in the table of each arm.
MAIN = {
    "iou": "mean IoU",
    "v_rand": "V_rand",
    "v_info": "V_info",
    "warping_error": "warping error",
    "SEG": "SEG",
    "DET": "DET",
}


def side_by_side(assessments: Sequence[Assessment], baseline: str) -> str:
    """Two Markdown tables: the arms' means over seeds, and their differences to the baseline, with 95 % intervals.

    Args:
        assessments: The arms.
        baseline: Name of the arm that the others are compared with.
    """
    rows = {each.group: _means(each) for each in assessments}
    shown = {name: head for name, head in MAIN.items() if any(name in by_name for by_name in rows.values())}
    means = [
        [group, *(with_interval(by_name[name], digits=3) if name in by_name else "" for name in shown)]
        for group, by_name in rows.items()
    ]
    first = next(iter(rows[baseline].values()))
    seeds = counted(first.num_members, "seed")
    parts = [
        f"**Arms**, mean [95 % interval]; {assessments[0].data}, {first.num_images} images, {seeds}",
        markdown_table(["arm", *shown.values()], means),
    ]
    lines = []
    for group, by_name in _against(assessments, baseline).items():
        lines.append(
            [group, *(with_interval(by_name[name], digits=3, sign="+") if name in by_name else "" for name in shown)]
        )
    if lines:
        parts += [
            f"**Difference to {baseline}**, paired by seed and image",
            markdown_table(["arm", *shown.values()], lines),
        ]
    return "\n\n".join(parts)


def arm_rows(assessments: Sequence[Assessment], baseline: str) -> list[dict[str, Any]]:
    """One row per arm and measure, with the difference to the baseline."""
    against = _against(assessments, baseline)
    found = []
    for each in assessments:
        for name, row in _means(each).items():
            other = against.get(each.group, {}).get(name)
            gap = (None, None, None) if other is None else (other.mean, other.low, other.high)
            found.append({
                "arm": each.group, "measure": name, "mean": row.mean, "low": row.low, "high": row.high,
                "seeds": row.num_members, "images": row.num_images, "baseline": baseline,
                **dict(zip(("difference", "difference_low", "difference_high"), gap, strict=True)),
            })  # fmt: skip
    return found


def _means(assessment: Assessment) -> dict[str, Row]:
    return {row.measure: row for row in rows_of(assessment) if row.of == "seeds"}


def _against(assessments: Sequence[Assessment], baseline: str) -> dict[str, dict[str, Difference]]:
    (base,) = (each for each in assessments if each.group == baseline)
    others = (each for each in assessments if each is not base)
    found = {each.group: {one.measure: one for one in differences(each, base)} for each in others}
    return {group: by_name for group, by_name in found.items() if by_name}
