"""Puts the plan for the data into a configuration that asks for one (``plan``, as in ``experiment=own_data``)."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from unet_repro.config import TrainConfig, check, make
from unet_repro.data.sample import Sample
from unet_repro.data.split_auto import is_within
from unet_repro.errors import ConfigError
from unet_repro.inference.planner import total_bytes
from unet_repro.inspection.facts import Facts, facts_of
from unet_repro.inspection.training_plan import Conditions, Plan, plan_of
from unet_repro.training.build import DataReader

# Where the configuration refers to each value of the plan.
_SETTINGS = {
    "scale": "data.scale",
    "depth": "model.depth",
    "width": "model.width",
    "tile": "tiles.size",
    "budget": "tiles.budget",
    "steps": "trainer.max_steps",
}
_WITHIN, _AUTO = "unet_repro.data.split_within.within", "unet_repro.data.split_auto.auto"


def planned(composed: DictConfig, read: DataReader) -> TrainConfig:
    """Checks a configuration; if it has a ``plan`` that is not made yet, the data are read and the plan is made.

    Settings that refer to the plan receive its values. Those that the user has set stay, and the others suit them.

    Args:
        composed: A composed configuration, with its references.
        read: Reads the data.

    Raises:
        UserError: If the configuration or the data are invalid.
    """
    config = check(composed)
    if config.plan is None or "reasons" in config.plan or not isinstance(config.model.get("depth"), int):
        return config
    if config.plan:
        raise ConfigError(
            f"plan={config.plan} is set, but a plan is made from the images",
            hint=f"set {', '.join(_SETTINGS.values())} instead",
        )
    samples = read.whole(config).samples
    return check(with_plan(composed, plan_for(composed, config, samples, facts_of(samples))))


def plan_for(composed: DictConfig, config: TrainConfig, samples: list[Sample], facts: Facts) -> Plan:
    """The plan for a configuration's data and machine.

    Args:
        composed: The composed configuration, with its references.
        config: The same, checked.
        samples: Its data.
        facts: Their facts.
    """
    target = config.split["_target_"]
    on_gpu = config.trainer.accelerator == "gpu"
    conditions = Conditions(
        divides_images=target == _WITHIN or (target == _AUTO and is_within(samples)),
        val_share=config.split.get("val_share", 0.2),
        gap_px=config.split.get("gap_px"),
        budget=None if _is_planned(composed, _SETTINGS["budget"]) else make("tiles", config.tiles),
        on_gpu=on_gpu,
        finds_objects=config.target is not None,
        memory_bytes=total_bytes(torch.device("cuda") if on_gpu and torch.cuda.is_available() else None),
    )
    return plan_of(facts, conditions, _given(composed, config))


def with_plan(composed: DictConfig, plan: Plan) -> DictConfig:
    """A copy of the configuration with the plan."""
    found = composed.copy()
    with open_dict(found):
        found.plan = asdict(plan)
    return found


def plan_overrides(plan: Mapping[str, Any] | None) -> list[str]:
    """Overrides with which a job of a sweep has this plan instead of making its own.

    >>> plan_overrides({"depth": 3, "reasons": {"depth": "as set"}})
    ['+plan.depth=3', "+plan.reasons.depth='as set'"]
    """
    values = {**(plan or {})}
    reasons = values.pop("reasons", {})
    return [
        *(f"+plan.{name}={value}" for name, value in values.items()),
        *(f"+plan.reasons.{name}='{reason}'" for name, reason in reasons.items()),
    ]


def _given(composed: DictConfig, config: TrainConfig) -> dict[str, float]:
    """Values of the settings that do not refer to the plan, apart from the budget."""
    values: dict[str, float] = {
        "scale": config.data_scale or 1.0,
        "depth": config.model["depth"],
        "width": config.model.get("width", 1),
        "tile": config.tiles["size"],
        "steps": config.trainer.max_steps,
    }
    return {name: value for name, value in values.items() if not _is_planned(composed, _SETTINGS[name])}


def _is_planned(composed: DictConfig, key: str) -> bool:
    """Whether a setting refers to the plan."""
    node: Any = OmegaConf.to_container(composed, resolve=False)
    for name in key.split("."):
        node = node.get(name, "")
    return "plan." in str(node)
