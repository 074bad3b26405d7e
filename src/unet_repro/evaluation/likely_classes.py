"""Measures of images at the most likely class, for data with any number of classes."""

import torch
from tqdm import tqdm

from unet_repro.data.labels import IGNORED
from unet_repro.evaluation.trained_run import Part, Trained
from unet_repro.metrics.pixel import confusion, pixel_measures
from unet_repro.training.losses import summed_cross_entropy

Measures = dict[str, dict[str, float]]  # image key -> measure -> value


def measure_images(trained: Trained, part: Part) -> Measures:
    """The measures of every labelled image of a part: image -> measure -> value, in float32.

    For a run trained in float32 they equal the measures of its validation.

    Raises:
        DataError: If the part has no public labels.
    """
    names = trained.data.class_names
    measured: Measures = {}
    with torch.inference_mode():
        for image in tqdm(trained.images(part), desc="evaluate", unit="image", leave=False):
            scores_KHW = trained.scores(image.image)[: len(names)]
            classes_HW = torch.from_numpy(image.classes).to(trained.device).long()
            matrix = confusion(scores_KHW.argmax(0), classes_HW, len(names))
            found = pixel_measures(matrix[None], names)
            total = float(summed_cross_entropy(scores_KHW, classes_HW))
            measured[image.key] = {
                "loss": total / int((classes_HW != IGNORED).sum()),
                **{name: float(value) for name, value in found.items()},
            }
    return measured
