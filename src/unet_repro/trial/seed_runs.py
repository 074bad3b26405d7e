"""The 13 runs of the earlier reproduction ("Reproducing U-Net", 2025), with scores from its published curves.

Final validation IoU in its stepped metric (``metrics.pixel.iou_stepped``), read from the curves by eye, for comparison
with this project's ``val/iou_stepped`` only. Its split was random, its validation images deformed and cropped.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """The result of one of its runs.

    Attributes:
        stepped: Final validation score in its stepped metric.
        remark: Other observations from its curve.
    """

    stepped: float
    remark: str = ""


_RISES_500 = "validation loss rises from step 500"
_RISES_200 = "validation loss rises from step 200"

REFERENCES: dict[str, Reference] = {
    "EM, 512 x4, SGD 1e-3": Reference(0.86),
    "EM, 256 x16, SGD 1e-3": Reference(0.83, "noisy"),
    "EM, 512 x4, SGD 1e-3, no weight map": Reference(0.84),
    "EM, 512 x4, Adam 1e-3": Reference(0.825, _RISES_500),
    "EM, 512 x4, Adam 3e-4": Reference(0.80, _RISES_200),
    "U373, 512 x4, SGD 1e-3": Reference(0.89),
    "U373, 256 x16, SGD 1e-3": Reference(0.955),
    "U373, 512 x4, Adam 1e-3": Reference(0.22, "collapses at step 1600"),
    "U373, 512 x4, Adam 3e-4": Reference(0.945),
    "HeLa, 512 x4, SGD 1e-3": Reference(0.89),
    "HeLa, 256 x16, SGD 1e-3": Reference(0.815, "noisy"),
    "HeLa, 512 x4, Adam 1e-3": Reference(0.67),
    "HeLa, 512 x4, Adam 3e-4": Reference(0.90),
}
