"""What a sweep varies: the swept settings of an ad-hoc sweep are the arms of one comparison."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unet_repro.conf_files import PLACEMENT, options

# Overrides that are neither arms nor variants: tables have columns for them, or they do not affect numbers.
_UNSPOKEN = {"experiment", "seed", "scale", "data", "trainer", "runs_dir", *(f"trainer.{name}" for name in PLACEMENT)}
_UNSPOKEN_GROUPS = {"hydra", "logger"}


@dataclass(frozen=True)
class SweptArm:
    """One point of an ad-hoc sweep, as an arm.

    Attributes:
        experiment: Name of the comparison: the swept settings.
        arm: Their values.
    """

    experiment: str
    arm: str

    @property
    def overrides(self) -> list[str]:
        """Overrides that give a run's configuration these names; they do not affect its numbers."""
        fields = {
            "name": json.dumps(self.experiment),
            "claim": "''",
            "question": "''",
            "arms": "{}",
            "evaluations": "[]",
        }
        return [*(f"++experiment.{key}={value}" for key, value in fields.items()), f"arm={json.dumps(self.arm)}"]


def swept_keys(combinations: Iterable[Sequence[str]]) -> list[str]:
    """Keys with several values, which are arms; seed, data and scale, which have columns in tables, are not.

    >>> swept_keys([["data=hela", "model.norm=none", "seed=0"], ["data=hela", "model.norm=batch", "seed=1"]])
    ['model.norm']
    """
    values: dict[str, set[str]] = {}
    for combination in combinations:
        for override in combination:
            values.setdefault(key_of(override), set()).add(override)
    return [key for key, given in values.items() if len(given) > 1 and (key == "experiment" or not is_unspoken(key))]


def swept_arm(keys: Sequence[str], combination: Sequence[str]) -> SweptArm | None:
    """The arm of a combination; ``None`` if nothing but seeds is swept.

    >>> swept_arm(["model.norm"], ["data=hela", "model.norm=batch"])
    SweptArm(experiment='model.norm', arm='model.norm=batch')
    >>> swept_arm(["optimizer"], ["optimizer=adam"]).experiment  # there is an experiment of that name
    'optimizer-swept'
    """
    if not keys:
        return None
    name = ",".join(key.replace("/", ".") for key in keys)
    arm = " ".join(override.lstrip("+") for override in combination if key_of(override) in keys)
    return SweptArm(f"{name}-swept" if name in options("experiment") else name, arm)


def variant_of(given: Iterable[str], keys: Sequence[str] = ()) -> str:
    """The overrides that the user added to all arms, for display.

    >>> variant_of(["model.norm=batch", "tiles.size=252", "seed=1"], ["model.norm"])
    'tiles.size=252'
    """
    return " ".join(override for override in given if not (is_unspoken(key := key_of(override)) or key in keys))


def key_of(override: str) -> str:
    """The key of an override.

    >>> key_of("+model.norm=batch"), key_of("~callbacks")
    ('model.norm', 'callbacks')
    """
    return override.lstrip("+~").partition("=")[0]


def is_unspoken(key: str) -> bool:
    """Whether a key is neither an arm nor a variant."""
    return key in _UNSPOKEN or key.replace("/", ".").split(".")[0] in _UNSPOKEN_GROUPS
