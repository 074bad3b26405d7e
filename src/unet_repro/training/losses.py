"""Pixel-wise softmax cross-entropy with weights (Ronneberger et al. 2015, equation 1)."""

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from unet_repro.data.labels import IGNORED


def summed_cross_entropy(scores_KHW: Tensor, classes_HW: Tensor) -> Tensor:
    """Sum over all but ignored pixels of the unweighted cross-entropy in nats, a float64 scalar.

    On CUDA, ``F.cross_entropy`` with a reduction adds in no fixed order, and fails with deterministic algorithms.

    Args:
        scores_KHW: ``(K, H, W)`` float.
        classes_HW: ``(H, W)`` int64, below K or ``labels.IGNORED``.

    >>> round(summed_cross_entropy(torch.zeros(2, 1, 3), torch.tensor([[0, 1, 1]])).exp().item(), 5)
    8.0
    """
    losses_HW = F.cross_entropy(scores_KHW[None], classes_HW[None], reduction="none", ignore_index=IGNORED)
    return losses_HW.sum(dtype=torch.float64)


def weighted_mean(losses_Bhw: Tensor, weights_Bhw: Tensor) -> Tensor:
    """Weighted mean over pixels, ``sum(w * loss) / sum(w)``.

    The paper sums; a mean makes the gradient's scale independent of tile size, batch size and the scale of the weights.

    Args:
        losses_Bhw: ``(B, h, w)`` float, cross-entropy of each pixel in nats.
        weights_Bhw: ``(B, h, w)`` float, not negative; if all are zero, so is the mean.

    Returns:
        Scalar tensor.

    >>> weighted_mean(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 1.0]]])).item()
    1.25
    """
    return (losses_Bhw * weights_Bhw).sum() / _positive(weights_Bhw.sum())


def mean_of_known(losses_Bhw: Tensor, known_Bhw: Tensor) -> Tensor:
    """Mean loss of the pixels that are not ignored, 0 without such pixels; the losses of the others must be 0.

    >>> mean_of_known(torch.tensor([1.0, 0.0, 3.0]), torch.tensor([True, False, True])).item()
    2.0
    """
    return losses_Bhw.sum() / known_Bhw.sum().clamp(min=1)


def weighted_mean_across(
    losses_Bhw: Tensor, weights_Bhw: Tensor, known_Bhw: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """This process's share of the weighted mean over the tiles of all processes of a run on several devices.

    Gradients are averaged over processes, so each share is scaled by their number: the average is the gradient of the
    weighted mean over all tiles. Averaging the processes' weighted means would overweight tiles of low weight.

    Args:
        losses_Bhw: ``(B, h, w)`` float, of this process's tiles.
        weights_Bhw: ``(B, h, w)`` float.
        known_Bhw: ``(B, h, w)`` bool, false for ignored pixels, whose losses are 0; ``None``: none is ignored.

    Returns:
        The loss that this process differentiates; the weighted and unweighted means over all tiles, without gradient.
    """
    weighted = (losses_Bhw * weights_Bhw).sum()
    sums = torch.stack([weighted.detach(), weights_Bhw.sum(), losses_Bhw.detach().sum()])
    dist.all_reduce(sums)
    num_pixels: Tensor | int = losses_Bhw.numel() * dist.get_world_size()
    if known_Bhw is not None:
        num_known = known_Bhw.sum()
        dist.all_reduce(num_known)
        num_pixels = num_known.clamp(min=1)
    total = _positive(sums[1])
    return weighted * dist.get_world_size() / total, sums[0] / total, sums[2] / num_pixels


def _positive(total: Tensor) -> Tensor:
    """A sum of weights, or the smallest positive number if it is 0."""
    return total.clamp(min=torch.finfo(total.dtype).tiny)
