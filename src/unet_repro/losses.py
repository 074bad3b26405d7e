"""Pixel-wise softmax cross-entropy with weights (Ronneberger et al. 2015, equation 1)."""

from torch import Tensor


def weighted_mean(losses_Bhw: Tensor, weights_Bhw: Tensor) -> Tensor:
    """Weighted mean over pixels, ``sum(w * loss) / sum(w)``.

    The paper sums; a mean keeps the scale of the gradient free of tile size, batch size and the weights' own scale.

    Args:
        losses_Bhw: ``(B, h, w)`` float, cross-entropy of each pixel in nats.
        weights_Bhw: ``(B, h, w)`` float, not negative, not all zero.

    Returns:
        Scalar tensor.

    >>> import torch
    >>> weighted_mean(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 1.0]]])).item()
    1.25
    """
    return (losses_Bhw * weights_Bhw).sum() / weights_Bhw.sum()
