"""SEG of the silver masks, on which networks train, judged by the gold masks, which judge the networks.

``python benchmarks/silver_masks.py``; DIC-C2DH-HeLa and PhC-C2DH-U373, each sequence and both; no training. A network
that copies the silver masks without error reaches these values.
"""

import numpy as np
from harness import Record, Row

from unet_repro.data.sources.cell_tracking import CellTracking, Name
from unet_repro.metrics.cell_tracking import seg_scores

NAMES: dict[str, Name] = {"HeLa": "DIC-C2DH-HeLa", "U373": "PhC-C2DH-U373"}


def main() -> None:
    record = Record("silver_masks", "SEG of the silver masks, judged by the gold masks of the same frames")
    for title, name in NAMES.items():
        source = CellTracking(name=name)
        silver = {sample.key: sample.labels for sample in source.samples()}
        found = {
            key: seg_scores(gold, labels) for key, gold in source.gold().items() if (labels := silver[key]) is not None
        }
        for sequence in ("01", "02", "both"):
            scores = np.concatenate([each for key, each in found.items() if sequence in (key.split("/")[0], "both")])
            record.rows.append(
                Row(f"{title}, {sequence}: {len(scores)} cells, {(scores == 0).sum()} missed", scores.mean(), "")
            )
    record.write()


if __name__ == "__main__":
    main()
