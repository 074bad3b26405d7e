"""The measures of ISBI 2012 and of the Cell Tracking Challenge as torchmetrics classes, over any number of images.

Each image updates sums, so that memory does not grow and processes are combined exactly (``dist_reduce_fx="sum"``). The
formulas are those of ``isbi`` and ``cell_tracking``; updates are computed by NumPy on the CPU.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from unet_repro.metrics.cell_tracking import DetCounts, det, det_counts, seg_scores
from unet_repro.metrics.isbi import SCORES, THRESHOLDS, slice_measures

_NAMES = ("v_rand", "v_info", "v_rand_unthinned", "v_info_unthinned", "rand_error", "pixel_error_f", "warping_error")


class ISBIMeasures(Metric):
    """The measures of the ISBI 2012 challenge: each the best over thresholds of its mean over slices.

    ``compute`` returns ``v_rand``, ``v_info`` (after thinning borders; 1 is best), both also with ``_unthinned``,
    ``rand_error``, ``pixel_error_f`` and, unless disabled, ``warping_error`` (0 is best): float64 scalars.

    Args:
        thresholds: A pixel of higher probability belongs to a cell.
        warping: Whether to include the warping error, which takes as long as all others together.
        kwargs: Of ``torchmetrics.Metric``.

    >>> truth = torch.tensor([[1, 1, 0, 2, 2]])
    >>> measures = ISBIMeasures(thresholds=[0.5, 0.7])
    >>> measures.update(torch.tensor([[0.9, 0.9, 0.6, 0.9, 0.9]]), truth)
    >>> {name: value.item() for name, value in measures.compute().items() if name in ("v_rand", "rand_error")}
    {'v_rand': 1.0, 'rand_error': 0.0}
    """

    full_state_update = False
    is_differentiable = False
    sums: Tensor
    num_slices: Tensor

    def __init__(self, thresholds: Sequence[float] = THRESHOLDS, *, warping: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thresholds, self.warping = tuple(thresholds), warping
        self.names = _NAMES if warping else _NAMES[:-1]
        zeros = torch.zeros(len(self.names), len(self.thresholds), dtype=torch.float64)
        self.add_state("sums", default=zeros, dist_reduce_fx="sum")
        self.add_state("num_slices", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds slices.

        Args:
            preds: Probability of not being membrane, ``(H, W)`` or ``(N, H, W)``.
            target: Instance numbers of the same shape, 0 = membrane.
        """
        for probability, truth in zip(*_images(preds, target), strict=True):
            found = slice_measures(
                truth.astype(np.int32), probability.astype(np.float32), self.thresholds, warping=self.warping
            )
            self.sums += torch.from_numpy(np.stack([found[name] for name in self.names])).to(self.sums.device)
            self.num_slices += 1

    def compute(self) -> dict[str, Tensor]:
        """Each measure at its best threshold; NaN without slices."""
        means = self.sums / self.num_slices
        return {
            name: of_thresholds.max() if name in SCORES else of_thresholds.min()
            for name, of_thresholds in zip(self.names, means, strict=True)
        }


class SEG(Metric):
    """SEG of the Cell Tracking Challenge: the mean over reference objects of ``cell_tracking.seg_scores``.

    Args:
        kwargs: Of ``torchmetrics.Metric``.

    >>> seg = SEG()
    >>> seg.update(torch.tensor([[5, 5, 0, 0, 0]]), torch.tensor([[1, 1, 1, 0, 2]]))
    >>> seg.compute()
    tensor(0.3333, dtype=torch.float64)
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    total: Tensor
    num_objects: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_objects", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds frames: predicted and reference instance numbers, ``(H, W)`` or ``(N, H, W)``, 0 = background."""
        for predicted, reference in zip(*_images(preds, target), strict=True):
            scores = seg_scores(reference.astype(np.int32), predicted.astype(np.int32))
            self.total += float(scores.sum())
            self.num_objects += len(scores)

    def compute(self) -> Tensor:
        """SEG in [0, 1], float64; NaN without reference objects."""
        return self.total / self.num_objects


class DET(Metric):
    """DET of the Cell Tracking Challenge: ``cell_tracking.det`` of the counts of all frames.

    Args:
        kwargs: Of ``torchmetrics.Metric``.

    >>> found = DET()
    >>> found.update(torch.tensor([[7, 7, 7, 0, 0, 8]]), torch.tensor([[1, 0, 2, 0, 3, 0]]))
    >>> found.compute()
    tensor(0.4667, dtype=torch.float64)
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    counts: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("counts", default=torch.zeros(4, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds frames: predicted instance numbers and reference markers, ``(H, W)`` or ``(N, H, W)``."""
        for predicted, markers in zip(*_images(preds, target), strict=True):
            found = det_counts(markers.astype(np.int32), predicted.astype(np.int32))
            row = [found.references, found.misses, found.false, found.splits]
            self.counts += torch.tensor(row, device=self.counts.device)

    def compute(self) -> Tensor:
        """DET in [0, 1], float64."""
        return torch.tensor(det([DetCounts(*self.counts.tolist())]), dtype=torch.float64)


def _images(preds: Tensor, target: Tensor) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    """Both as ``(N, H, W)`` arrays.

    Raises:
        ValueError: If their shapes differ or are not ``(H, W)`` or ``(N, H, W)``.
    """
    if preds.shape != target.shape or preds.ndim not in (2, 3):
        raise ValueError(
            f"preds {tuple(preds.shape)} and target {tuple(target.shape)} must have one shape (H, W) or (N, H, W)"
        )
    size = target.shape[-2:]
    return preds.detach().cpu().reshape(-1, *size).numpy(), target.detach().cpu().reshape(-1, *size).numpy()
