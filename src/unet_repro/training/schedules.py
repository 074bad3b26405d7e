"""Learning-rate schedules that torch does not provide as one object. All count optimizer steps."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from unet_repro.errors import ConfigError


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


def constant_then_linear_factor(step: int, *, max_steps: int, tail_share: float) -> float:
    """1, then linearly down to 0 at ``max_steps`` over the last ``tail_share`` of the steps, rounded.

    >>> [constant_then_linear_factor(n, max_steps=8, tail_share=0.5) for n in range(9)]
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return min(1.0, (max_steps - step) / max(1, round(tail_share * max_steps)))


def constant_then_linear(optimizer: Optimizer, *, max_steps: int, tail_share: float) -> LambdaLR:
    """``constant_then_linear_factor`` times the optimizer's learning rate.

    Raises:
        ConfigError: If the share is not between 0 and 1.
    """
    if not 0 <= tail_share <= 1:
        raise ConfigError(f"schedule.tail_share={tail_share} must be between 0 and 1", hint="use e.g. 0.25")
    return LambdaLR(
        optimizer, lambda step: constant_then_linear_factor(step, max_steps=max_steps, tail_share=tail_share)
    )
