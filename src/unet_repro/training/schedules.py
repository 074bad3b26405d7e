"""Learning-rate schedules that torch does not provide as one object. All count optimizer steps."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant(optimizer: Optimizer) -> LambdaLR:
    """The optimizer's own learning rate throughout."""
    return LambdaLR(optimizer, _one)


def _one(_step: int) -> float:
    return 1.0


def warmup_cosine_factor(step: int, *, warmup_steps: int, max_steps: int) -> float:
    """Linear from ``1 / warmup_steps`` to 1 over the warm-up, then half a cosine down to 0 at ``max_steps``.

    >>> [round(warmup_cosine_factor(n, warmup_steps=2, max_steps=6), 2) for n in range(7)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, max_steps - warmup_steps)))


def warmup_cosine(optimizer: Optimizer, *, warmup_steps: int, max_steps: int) -> LambdaLR:
    """``warmup_cosine_factor`` times the optimizer's learning rate."""
    return LambdaLR(optimizer, lambda step: warmup_cosine_factor(step, warmup_steps=warmup_steps, max_steps=max_steps))
