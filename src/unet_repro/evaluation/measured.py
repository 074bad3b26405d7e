"""What an evaluation has measured: of each image for each member of a group."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from unet_repro.data.labels import Labels
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.metrics.cell_tracking import DetCounts

Probability = npt.NDArray[np.float32]
Case = tuple[npt.NDArray[np.float32], Labels, Probability, Probability | None]
MEAN = "mean of seeds"
GOLD, LABELS = "the experts' gold masks", "the source's own labels"


@dataclass(frozen=True)
class ImageMeasures:
    """The measures of one image for one member of a group.

    Attributes:
        key: The image.
        run_id: The run that predicted it; ``""`` for the mean of seeds.
        sweep: ISBI measure -> value at each threshold ``(T,)``; empty for more than two classes, and for data whose
            cells have no membranes between them: of the Cell Tracking Challenge, and own data with much background.
        pixel: Measure -> value, at the most likely class, against the source's own labels: gold masks may lack cells.
        settings: Settings that converted probabilities to objects.
        seg: Jaccard index of each reference object.
        det: Counts against the markers, where there are any.
        objects: Numbers of labelled and of found objects.
    """

    key: str
    run_id: str
    sweep: dict[str, npt.NDArray[np.float64]]
    pixel: dict[str, float]
    settings: InstanceSettings
    seg: npt.NDArray[np.float64]
    det: DetCounts | None
    objects: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Assessment:
    """A group's measures.

    Attributes:
        group: Its name.
        data: Name of the source.
        class_names: Names of the classes.
        members: ``seed 0``, ... and, for several seeds, the mean of their probabilities -> its images in order.
        truth: Description of the ground truth.
        settings_from: Description of the images on which the settings of objects were chosen.
        best: Run -> the settings of objects that are best on all of its validation images, and their number.
        setting: Identity of its runs' setting, see ``runs.identity.setting_id``; ``""`` if they differ in it.
        cases: Notable image -> data for a picture of it: normalised image, truth, probability and seed map (means of
            seeds).
        commands: In a record, the commands that measured it, the earliest first.
    """

    group: str
    data: str
    class_names: tuple[str, ...]
    members: dict[str, list[ImageMeasures]]
    truth: str
    settings_from: str
    best: dict[str, tuple[InstanceSettings, int]] = field(default_factory=dict)
    setting: str = ""
    cases: dict[str, Case] = field(default_factory=dict)
    commands: tuple[str, ...] = ()


def pixel_truth(truths: Iterable[str]) -> str:
    """A sentence on the ground truth of the pixel measures, if it is not that of the objects; else ``""``.

    >>> pixel_truth(["the source's own labels"])
    ''
    """
    if not any(GOLD in truth for truth in truths):
        return ""
    return f" IoU is measured against {LABELS} of the same images, since some gold masks lack cells."


def notable(members: Mapping[str, Sequence[ImageMeasures]]) -> list[tuple[str, ImageMeasures]]:
    """The worst, median and best image of the last member by SEG, labelled so; of fewer than three images all.

    Args:
        members: See ``Assessment``.
    """
    images = sorted(
        (image for image in list(members.values())[-1] if image.seg.size), key=lambda image: float(image.seg.mean())
    )
    if len(images) < 3:
        return [("case", image) for image in images]
    return [("worst", images[0]), ("median", images[len(images) // 2]), ("best", images[-1])]
