"""The open table: measures of recommended settings on public images, kept image by image as a record.

``unet-repro evaluate ... record=experiments/record/open`` writes one file for each evaluation of a comparison. The
table is a function of these files and of ``published.csv``, the figures that others reached on hidden images:
``comparison``, ``data``, ``measure``, ``value``, ``who``, ``date`` and ``source``.
"""

import csv
import gzip
import json
import logging
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unet_repro import conf_files
from unet_repro.errors import RunError
from unet_repro.evaluation.measured import MEAN, Assessment, ImageMeasures, pixel_truth
from unet_repro.evaluation.summaries import rows_of, with_interval
from unet_repro.files import counted, markdown_table, write_atomically
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.metrics.cell_tracking import DetCounts
from unet_repro.trial.run_record import rounded

_logger = logging.getLogger(__name__)

FOLDER = Path("experiments/record/open")
SUFFIX = ".json.gz"
PUBLISHED = "published.csv"
# Measure -> its heading.
MEASURES = {
    "v_rand": "V_rand",
    "v_info": "V_info",
    "warping_error": "warping error",
    "iou_background": "IoU background or membrane",
    "iou_membrane": "IoU background or membrane",
    "iou_cell": "IoU cell",
    "SEG": "SEG",
    "DET": "DET",
}


@dataclass(frozen=True)
class Kept:
    """One evaluation of a comparison.

    Attributes:
        comparison: Its name.
        part: The measured part.
        checkpoint: The weights.
        views: Rotated views whose mean was measured.
        assessments: Its groups.
    """

    comparison: str
    part: str
    checkpoint: str
    views: int
    assessments: tuple[Assessment, ...]

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.comparison}-{self.part}-{self.checkpoint}-{self.views}{SUFFIX}"


def keep(kept: Kept, folder: Path, command: str) -> Path:
    """Writes an evaluation and its command; floats have six significant digits, and pictures are left out.

    What the record has of it and was not measured this time stays: other groups, and other seeds of a group if their
    setting, images and truth are the same. The mean of seeds needs the predictions of all seeds: a group with seeds of
    two evaluations has none.

    Raises:
        RunError: If it cannot be written, or the one in the record is damaged.
    """
    path = folder / kept.name
    earlier = _read(path) if path.exists() else replace(kept, assessments=())
    groups = {each.group: each for each in earlier.assessments}
    for new in (replace(each, commands=(command,)) for each in kept.assessments):
        groups[new.group] = _with_seeds_of(groups[new.group], new) if new.group in groups else new
    content = {
        **{name: getattr(kept, name) for name in ("comparison", "part", "checkpoint", "views")},
        "groups": [_as_plain(each) for each in groups.values()],
    }
    text = json.dumps(rounded(content), sort_keys=True, separators=(",", ":"))
    write_atomically(path, gzip.compress(text.encode(), mtime=0))
    return path


def _with_seeds_of(earlier: Assessment, new: Assessment) -> Assessment:
    """A group that was measured again, with those seeds that were not."""
    others = {name: images for name, images in earlier.members.items() if name not in new.members and name != MEAN}
    if not others:
        return new
    if not new.setting or _what_was_measured(earlier) != _what_was_measured(new):
        gone = ", ".join(others)
        _logger.warning(
            "%s: no longer in the record: %s, of another setting, other images or another truth", new.group, gone
        )
        return new
    if MEAN in earlier.members or MEAN in new.members:
        _logger.warning("%s: no mean of seeds in the record, since not all seeds were measured together", new.group)
    return replace(
        new,
        members={name: images for name, images in (others | new.members).items() if name != MEAN},
        commands=tuple(dict.fromkeys((*earlier.commands, *new.commands))),
    )


def _what_was_measured(one: Assessment) -> tuple[object, ...]:
    keys = {tuple(image.key for image in images) for name, images in one.members.items() if name != MEAN}
    return one.setting, one.data, one.class_names, one.truth, one.settings_from, keys


def kept_in(folder: Path) -> list[Kept]:
    """The evaluations of a folder, by name; empty without the folder.

    Raises:
        RunError: If one is damaged.
    """
    return [_read(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def table(folder: Path) -> str:
    """The tables of a folder's evaluations in Markdown, a section for each comparison; empty without any.

    Raises:
        RunError: If a file is damaged.
    """
    by_comparison: dict[str, list[Kept]] = {}
    for kept in kept_in(folder):
        by_comparison.setdefault(kept.comparison, []).append(kept)
    if not by_comparison:
        return ""
    published = _published(folder / PUBLISHED)
    sections = [
        _section(comparison, kept, [row for row in published if row["comparison"] == comparison])
        for comparison, kept in by_comparison.items()
    ]
    return (
        "In brackets: 95 % confidence intervals, over images for one seed, otherwise over seeds and images; of DET "
        "over the sequences instead of images, and wide where these are two. V_rand and V_info are taken at the best "
        "threshold on the measured slices, as in the challenge.\n\n" + "\n".join(sections)
    )


def _section(comparison: str, all_kept: list[Kept], published: list[dict[str, str]]) -> str:
    """One comparison: its rows, what others reached on hidden images, and the commands."""
    found = [(kept, assessment, rows_of(assessment)) for kept in all_kept for assessment in kept.assessments]
    there = {row.measure for _, _, rows in found for row in rows}
    headings = list(dict.fromkeys(heading for name, heading in MEASURES.items() if name in there))
    lines = []
    for kept, assessment, rows in found:
        for of in (name for name in ("seeds", MEAN) if any(row.of == name for row in rows)):
            cells = {
                MEASURES[row.measure]: with_interval(row, digits=3)
                for row in rows
                if row.of == of and row.measure in MEASURES
            }
            members = MEAN if of == MEAN else counted(rows[0].num_members, "seed")
            lines.append(
                [assessment.group, members, counted(kept.views, "view"), *(cells.get(h, "") for h in headings)]
            )
    for row in published:
        reached = [f"*{row['value']}*" if heading == MEASURES[row["measure"]] else "" for heading in headings]
        lines.append([f"*{row['data']}*", f"*{row['who']} ({row['date']})*", "", *reached])
    found_in = dict.fromkeys(f"{row['data']}, {row['who']} ({row['date']}): {row['source']}" for row in published)
    others = "".join(f"- {text}\n" for text in found_in)
    measured_by = dict.fromkeys(command for _, assessment, _ in found for command in assessment.commands)
    commands = "".join(f"- `{command}`\n" for command in measured_by)
    judges: dict[str, dict[str, None]] = {}
    for _, assessment, _ in found:
        judges.setdefault(assessment.truth, {})[assessment.data] = None
    truths = " and ".join(f"{truth} ({', '.join(data)})" for truth, data in judges.items())
    title = re.sub("[_-]", " ", comparison).capitalize()
    if comparison in conf_files.options("experiment"):
        title = conf_files.comparison(comparison)["title"]
    return (
        f"## {title}\n\n{markdown_table(['setting', 'networks', 'prediction', *headings], lines)}\n\n"
        f"Judged by {truths}.{pixel_truth(judges)} Commands:\n\n{commands}"
        + (
            "\nRows in italics are **another test**: images whose ground truth is not public, so that they cannot be "
            f"compared with the others. Their sources:\n\n{others}"
            if published
            else ""
        )
    )


def _published(path: Path) -> list[dict[str, str]]:
    """What others reached on hidden images: the columns of the file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _as_plain(assessment: Assessment) -> dict[str, Any]:
    return {
        "group": assessment.group,
        "data": assessment.data,
        "class_names": list(assessment.class_names),
        "truth": assessment.truth,
        "settings_from": assessment.settings_from,
        "setting": assessment.setting,
        "commands": list(assessment.commands),
        "members": {name: [_image(each) for each in images] for name, images in assessment.members.items()},
    }


def _image(image: ImageMeasures) -> dict[str, Any]:
    return {
        "key": image.key,
        "run_id": image.run_id,
        "sweep": {name: values.tolist() for name, values in image.sweep.items()},
        "pixel": image.pixel,
        "settings": asdict(image.settings),
        "seg": image.seg.tolist(),
        "det": None if image.det is None else asdict(image.det),
    }


def _read(path: Path) -> Kept:
    try:
        content = json.loads(gzip.decompress(path.read_bytes()))
        groups = tuple(_assessment(each) for each in content.pop("groups"))
        return Kept(**content, assessments=groups)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise RunError(f"{path} is damaged: {error}", hint="restore it from version control") from error


def _assessment(plain: dict[str, Any]) -> Assessment:
    members = {name: [_measures(each) for each in images] for name, images in plain.pop("members").items()}
    listed = {name: tuple(plain[name]) for name in ("class_names", "commands")}
    return Assessment(**{**plain, **listed}, members=members)


def _measures(plain: dict[str, Any]) -> ImageMeasures:
    return ImageMeasures(
        **{
            **plain,
            "sweep": {name: np.array(values) for name, values in plain["sweep"].items()},
            "settings": InstanceSettings(**plain["settings"]),
            "seg": np.array(plain["seg"], np.float64),
            "det": None if plain["det"] is None else DetCounts(**plain["det"]),
        }
    )
