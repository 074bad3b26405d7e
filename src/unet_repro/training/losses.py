"""Pixel-wise softmax cross-entropy with weights (Ronneberger et al. 2015, equation 1)."""

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def summed_cross_entropy(scores_KHW: Tensor, classes_HW: Tensor) -> Tensor:
    """Sum over pixels of the unweighted cross-entropy in nats, a float64 scalar.

    On CUDA, ``F.cross_entropy`` with a reduction adds in no fixed order, and fails with deterministic algorithms.

    Args:
        scores_KHW: ``(K, H, W)`` float.
        classes_HW: ``(H, W)`` int64.

    >>> round(summed_cross_entropy(torch.zeros(2, 1, 3), torch.tensor([[0, 1, 1]])).exp().item(), 5)
    8.0
    """
    losses_HW = F.cross_entropy(scores_KHW[None], classes_HW[None], reduction="none")
    return losses_HW.sum(dtype=torch.float64)


def weighted_mean(losses_Bhw: Tensor, weights_Bhw: Tensor) -> Tensor:
    """Weighted mean over pixels, ``sum(w * loss) / sum(w)``.

    The paper sums; a mean makes the gradient's scale independent of tile size, batch size and the scale of the weights.

    Args:
        losses_Bhw: ``(B, h, w)`` float, cross-entropy of each pixel in nats.
        weights_Bhw: ``(B, h, w)`` float, not negative, not all zero.

    Returns:
        Scalar tensor.

    >>> weighted_mean(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 1.0]]])).item()
    1.25
    """
    return (losses_Bhw * weights_Bhw).sum() / weights_Bhw.sum()


def weighted_mean_across(losses_Bhw: Tensor, weights_Bhw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """This process's share of the weighted mean over the tiles of all processes of a run on several devices.

    Gradients are averaged over processes, so each share is scaled by their number: the average is the gradient of the
    weighted mean over all tiles. Averaging the processes' weighted means would overweight tiles of low weight.

    Args:
        losses_Bhw: ``(B, h, w)`` float, of this process's tiles.
        weights_Bhw: ``(B, h, w)`` float.

    Returns:
        The loss that this process differentiates; the weighted and unweighted means over all tiles, without gradient.
    """
    weighted = (losses_Bhw * weights_Bhw).sum()
    sums = torch.stack([weighted.detach(), weights_Bhw.sum(), losses_Bhw.detach().sum()])
    dist.all_reduce(sums)
    num_pixels = losses_Bhw.numel() * dist.get_world_size()
    return weighted * dist.get_world_size() / sums[1], sums[0] / sums[1], sums[2] / num_pixels
