"""Times the measures of one 512 x 512 EM-like slice at nine thresholds, in parts and in total, one thread.

``python benchmarks/measures.py [--rounds 5]``; synthetic slice; the probability is its blurred, noisy truth.
"""

import numpy as np
from harness import Record, in_turn, options
from scipy import ndimage

from unet_repro.data.labels import instances_from_mask
from unet_repro.data.sources.synthetic import Synthetic
from unet_repro.inference.instances import CANDIDATES, each_candidate
from unet_repro.metrics.cell_tracking import det_counts, seg_scores
from unet_repro.metrics.isbi import THRESHOLDS, slice_measures
from unet_repro.metrics.rand import rand_scores
from unet_repro.metrics.thinning import thin_borders
from unet_repro.metrics.warping import warping_error


def main() -> None:
    rounds = options(__doc__, rounds=5).rounds
    truth = Synthetic(num_slices=6, size_px=512).samples()[0].labels
    assert truth is not None
    cells = truth > 0
    noise = np.random.default_rng(0).normal(0, 1.0, truth.shape)
    probability = ndimage.gaussian_filter(cells + noise, 1).clip(0, 1).astype(np.float32)
    proposal = probability > 0.5
    objects = instances_from_mask(proposal)
    work = {
        "all but the warping error, all thresholds": lambda: slice_measures(truth, probability, warping=False),
        "all with the warping error, all thresholds": lambda: slice_measures(truth, probability),
        "thinning, one threshold": lambda: thin_borders(proposal),
        "V_rand, V_info, Rand error, one threshold": lambda: rand_scores(truth, objects),
        "warping error, one threshold": lambda: warping_error(cells, proposal),
        "SEG": lambda: seg_scores(truth, objects),
        "DET": lambda: det_counts(truth, objects),
        f"objects by {len(CANDIDATES)} settings": lambda: list(each_candidate(probability)),
    }
    size = f"{truth.max()} cells, {objects.max()} predicted pieces at 0.5, {len(THRESHOLDS)} thresholds"
    record = Record("measures", f"Measures of a 512 x 512 slice: {size}")
    for name, seconds in in_turn(work, rounds=rounds).items():
        record.add(name, seconds)
    record.write()


if __name__ == "__main__":
    main()
