"""The measures of the ISBI 2012 challenge, for one slice at many thresholds."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unet_repro.data.labels import Labels, instances_from_mask
from unet_repro.metrics.rand import rand_scores
from unet_repro.metrics.thinning import thin_borders
from unet_repro.metrics.warping import warping_error

# The challenge's program uses 0 to 1 in steps of 0.1; at 0 and 1 nothing, or everything, is border.
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SCORES = ("v_rand", "v_info", "v_rand_unthinned", "v_info_unthinned")  # higher is better; for all others lower

Values = npt.NDArray[np.float64]


def slice_measures(
    truth: Labels,
    probability: npt.NDArray[np.float32],
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    warping: bool = True,
) -> dict[str, Values]:
    """All measures of a slice, each at every threshold.

    The challenge reports the best value over thresholds of the mean over slices. ``v_rand`` and ``v_info`` are measured
    after thinning the predicted borders (the final measures of the challenge); the others are its original measures:
    ``warping_error``, ``rand_error`` and ``pixel_error_f`` (1 - F-score of the cells' pixels).

    Args:
        truth: Instance numbers ``(H, W)``, 0 = membrane.
        probability: Probability of not being membrane, ``(H, W)``.
        thresholds: A pixel with a higher probability belongs to a cell.
        warping: Whether to include ``warping_error``, which takes as long as all others together.

    Returns:
        Measure -> ``(T,)``.
    """
    cells = truth > 0
    found: list[dict[str, float]] = []
    for threshold in thresholds:
        proposal = probability > threshold
        thinned = rand_scores(truth, thin_borders(proposal))
        plain = rand_scores(truth, instances_from_mask(proposal))
        hits, both = float((proposal & cells).sum()), float(proposal.sum() + cells.sum())
        values = {
            "v_rand": thinned.v_rand,
            "v_info": thinned.v_info,
            "v_rand_unthinned": plain.v_rand,
            "v_info_unthinned": plain.v_info,
            "rand_error": plain.rand_error,
            "pixel_error_f": 1 - (2 * hits / both if both else 1.0),
        }
        if warping:
            values["warping_error"] = warping_error(cells, proposal)
        found.append(values)
    return {name: np.array([values[name] for values in found]) for name in found[0]}
