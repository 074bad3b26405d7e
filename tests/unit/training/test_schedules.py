"""Schedules start and end where they say, and act on the optimizer step by step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR

from unet_repro.errors import ConfigError
from unet_repro.training.schedules import constant, constant_then_linear, warmup_cosine, warmup_cosine_factor


def rates(make, steps, lr=0.2):
    """Learning rate before each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = make(optimizer)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


@settings(deadline=None)
@given(warmup=st.integers(1, 50), rest=st.integers(1, 200))
def test_warm_up_starts_at_its_first_share_and_the_cosine_ends_at_zero(warmup, rest):
    def factor(step):
        return warmup_cosine_factor(step, warmup_steps=warmup, max_steps=warmup + rest)

    factors = [factor(step) for step in range(warmup + rest + 1)]
    assert factors[0] == 1 / warmup
    assert factors[warmup - 1] == factors[warmup] == 1
    assert factors[-1] == pytest.approx(0, abs=1e-12)
    assert factors[: warmup + 1] == sorted(factors[: warmup + 1])
    assert factors[warmup:] == sorted(factors[warmup:], reverse=True)
    assert factor(warmup + rest / 2) == pytest.approx(0.5)


def test_without_warm_up_it_is_torchs_cosine():
    expected = rates(lambda optimizer: CosineAnnealingLR(optimizer, T_max=40), 40)

    assert rates(lambda optimizer: warmup_cosine(optimizer, warmup_steps=0, max_steps=40), 40) == pytest.approx(
        expected
    )


def test_warm_up_multiplies_the_optimizers_rate():
    seen = rates(lambda optimizer: warmup_cosine(optimizer, warmup_steps=4, max_steps=8), 8)

    assert seen[:5] == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.2])
    assert seen[6] == pytest.approx(0.1)


def test_a_warm_up_as_long_as_the_training_is_no_error():
    assert rates(lambda optimizer: warmup_cosine(optimizer, warmup_steps=3, max_steps=3), 3)[-1] == pytest.approx(0.2)


def test_constant_leaves_the_rate_alone():
    assert rates(constant, 5) == [0.2] * 5


@settings(deadline=None)
@given(max_steps=st.integers(1, 200), share=st.floats(0, 1))
def test_the_rate_is_constant_and_then_falls_on_a_line_that_ends_at_zero(max_steps, share):
    seen = rates(lambda optimizer: constant_then_linear(optimizer, max_steps=max_steps, tail_share=share), max_steps, 1)
    tail = max(1, round(share * max_steps))

    assert seen[: max_steps - tail + 1] == [1.0] * (max_steps - tail + 1)
    assert seen[max_steps - tail :] == pytest.approx([(tail - n) / tail for n in range(tail)])


def test_the_laptops_rate_falls_over_its_last_250_steps():
    seen = rates(lambda optimizer: constant_then_linear(optimizer, max_steps=1000, tail_share=0.25), 1000, 3e-3)

    assert seen[:751] == [3e-3] * 751
    assert seen[751] == pytest.approx(3e-3 * 249 / 250)
    assert seen[875] == pytest.approx(1.5e-3)
    assert seen[999] == pytest.approx(3e-3 / 250)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_tail_longer_than_the_training_is_refused(share):
    with pytest.raises(ConfigError, match="tail_share"):
        rates(lambda optimizer: constant_then_linear(optimizer, max_steps=9, tail_share=share), 1)


@pytest.mark.parametrize(
    "make",
    [
        constant,
        lambda o: warmup_cosine(o, warmup_steps=2, max_steps=9),
        lambda o: constant_then_linear(o, max_steps=9, tail_share=0.8),
    ],
)
def test_a_restored_schedule_goes_on_where_it_was(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    schedule = make(optimizer)
    for _ in range(4):
        optimizer.step()
        schedule.step()
    other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    restored = make(other)
    other.load_state_dict(optimizer.state_dict())
    restored.load_state_dict(schedule.state_dict())
    for one, two in ((optimizer, schedule), (other, restored)):
        one.step()
        two.step()

    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
