"""Short keys for grouping and filtering runs in W&B, in addition to the complete configuration."""

from collections.abc import Mapping
from typing import Any

KEY = "compare"  # no section of the configuration has this name


def groupable(config: Mapping[str, Any], *, run_id: str, source: str) -> dict[str, Any]:
    """The settings that distinguish runs, as one flat mapping.

    Args:
        config: The resolved configuration, as plain containers.
        run_id: The run's identity.
        source: Name of the data source.

    Returns:
        ``experiment``, ``claim``, ``arm``, ``seed``, ``fold``, ``scale``, ``data``, ``split``, ``tile_size``,
        ``budget``, ``augment``, ``weight_map``, ``width``, ``norm``, ``optimizer``, ``lr``, ``schedule``, ``steps``,
        ``run_id``.

    >>> config = {"seed": 0, "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001}}
    >>> {key: value for key, value in groupable(config, run_id="ab", source="isbi2012").items() if value is not None}
    {'seed': 0, 'data': 'isbi2012', 'optimizer': 'Adam', 'lr': 0.001, 'run_id': 'ab'}
    """

    def value(section: str, key: str) -> Any:
        return (config.get(section) or {}).get(key)

    def target(section: str) -> str | None:
        dotted = value(section, "_target_")
        return None if dotted is None else str(dotted).rpartition(".")[2]

    return {
        "experiment": value("experiment", "name"),
        "claim": value("experiment", "claim"),
        "arm": config.get("arm"),
        "seed": config.get("seed"),
        "fold": value("split", "fold"),
        "scale": config.get("scale"),
        "data": source,
        "split": target("split"),
        "tile_size": value("tiles", "size"),
        "budget": value("tiles", "budget"),
        "augment": _words(config.get("augment") or {}),
        "weight_map": target("weight_map"),
        "width": value("model", "width"),
        "norm": value("model", "norm"),
        "optimizer": target("optimizer"),
        "lr": value("optimizer", "lr"),
        "schedule": target("schedule"),
        "steps": value("trainer", "max_steps"),
        "run_id": run_id,
    }


def _words(augment: Mapping[str, Any]) -> str | None:
    """The active kinds of augmentation, derived from the parameters."""
    if not augment:
        return None
    kinds = {
        "flip": augment.get("flip"),
        "rotation": augment.get("rotate_deg"),
        "elastic": augment.get("elastic_std_px"),
        "grey values": augment.get("brightness") or augment.get("contrast"),
    }
    return " + ".join(name for name, on in kinds.items() if on) or "none"
