"""The search space, in Hydra's sweep syntax."""

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, QuotedString, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from unet_repro.errors import ConfigError

MANY = 64  # only the ends of a longer range are checked: composing a configuration takes 0.1 s
_HINT = "use e.g. optimizer.lr=tag(log, interval(1e-5, 1e-2)), model.width=choice(8, 16) or model.width=range(8, 64, 8)"


def parse_space(space: Sequence[str]) -> dict[str, BaseDistribution]:
    """Parses the search space.

    Args:
        space: Overrides with ``interval(0, 0.5)``, ``tag(log, interval(1e-5, 1e-2))``, ``choice(8, 16)`` or
            ``range(8, 64, 8)``, which excludes its end, as in Hydra.

    Raises:
        ConfigError: If the space is empty, or an override is repeated, invalid or empty.

    >>> parse_space(["optimizer.lr=tag(log, interval(1e-5, 1e-2))", "model.width=choice(8, 16)"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'optimizer.lr': FloatDistribution(high=0.01, log=True, low=1e-05, step=None),
     'model.width': CategoricalDistribution(choices=(8, 16))}
    >>> parse_space(["model.width=range(8, 64, 8)"])
    {'model.width': IntDistribution(high=56, log=False, low=8, step=8)}
    """
    if not space:
        raise ConfigError("the search space is empty", hint="add settings to hydra.sweeper.space")
    searched: dict[str, BaseDistribution] = {}
    for text in space:
        key, distribution = _distribution(text)
        if key in searched:
            raise ConfigError(f"hydra.sweeper.space has {key} twice", hint="keep one of them")
        searched[key] = distribution
    return searched


def values_of(distribution: BaseDistribution) -> list[Any]:
    """Values to check before any trial: all choices, the values of a range, the two ends of an interval."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution), "there are no others"
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        if len(values) <= MANY:
            return list(values)
    return [distribution.low, distribution.high]


def _distribution(text: str) -> tuple[str, BaseDistribution]:
    try:
        override = OverridesParser.create().parse_override(text)
        key, value = override.key_or_group, override.value()
        if isinstance(value, IntervalSweep | ChoiceSweep | RangeSweep):
            return key, _made(value)
    except (HydraException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"hydra.sweeper.space: {text} cannot be searched: {reason}", hint=_HINT) from error
    raise ConfigError(f"hydra.sweeper.space: {text} has only one value", hint=_HINT)


def _made(sweep: IntervalSweep | ChoiceSweep | RangeSweep) -> BaseDistribution:
    """Converts a sweep to a distribution; raises ``ValueError`` for what Optuna does not support."""
    log = "log" in sweep.tags
    if sweep.tags - {"log"}:
        raise ValueError(f"unknown tag {', '.join(sorted(sweep.tags - {'log'}))}")
    if isinstance(sweep, ChoiceSweep):
        if log:
            raise ValueError("a choice cannot be logarithmic")
        choices: list[Any] = [item.text if isinstance(item, QuotedString) else item for item in sweep.list]
        return CategoricalDistribution(choices)
    if isinstance(sweep, IntervalSweep):
        if sweep.start is None or sweep.end is None:
            raise ValueError("an end is missing")
        return FloatDistribution(float(sweep.start), float(sweep.end), log=log)
    ends = (sweep.start, sweep.stop, sweep.step)
    whole = [int(end) for end in ends if end is not None]
    if whole != list(ends):
        raise ValueError("a range needs integers; use interval for other numbers")
    start, stop, step = whole
    if step < 1 or stop <= start or (log and step > 1):
        raise ValueError("the range is empty or descending, or is logarithmic with a step")
    return IntDistribution(start, range(start, stop, step)[-1], step=step, log=log)
