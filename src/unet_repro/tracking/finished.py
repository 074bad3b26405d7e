"""The W&B run of a finished training: a function of the run's folder, so that it can be rewritten at any time."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from unet_repro.runs.folder import RunFolder
from unet_repro.runs.setting import shortened
from unet_repro.tracking.checkpoints import log_checkpoints
from unet_repro.tracking.grouping import KEY, groupable
from unet_repro.tracking.links import link_offline_run
from unet_repro.tracking.offline import is_complete, write_offline_run
from unet_repro.tracking.panels import Panel
from unet_repro.tracking.reading import offline_file


def about(config: Mapping[str, Any], *, run_id: str, source: str) -> dict[str, Any]:
    """Name, group and tags of a run in W&B.

    Args:
        config: The resolved configuration, as plain containers.
        run_id: The run's identity.
        source: Name of the data source.

    Returns:
        ``project``, ``entity``, ``run_id``, ``name``, ``group``, ``tags`` and ``job_type``.
    """
    return {
        "project": config["logger"]["project"],
        "entity": config["logger"].get("entity"),
        "run_id": run_id,
        "name": f"{_name(config)}, seed {config['seed']}",
        "group": config["experiment"]["name"] if config["experiment"] else "single",
        "tags": [config["scale"], source],
        "job_type": "train",
    }


def _name(config: Mapping[str, Any]) -> str:
    """Comparison and arm; the setting of a run that belongs to none, or to a sweep of one's own.

    A run that several comparisons share is named after the one that it was planned for first.
    """
    experiment, arm = config["experiment"], config["arm"]
    if not experiment:
        return arm or shortened(config)
    if not arm:
        return f"{experiment['name']} / base setting"
    return str(arm) if experiment.get("arms") == {} else f"{experiment['name']} / {arm}"  # its arms are overrides


def described(config: Mapping[str, Any], *, run_id: str, source: str) -> dict[str, Any]:
    """The settings that a logger shows: the configuration, and short keys for grouping and filtering."""
    return {**config, KEY: groupable(config, run_id=run_id, source=source)}


def wandb_dir(directory: Path, config: Mapping[str, Any]) -> Path:
    """The folder in which W&B creates its folder ``wandb``: the run's own, or one below ``logger.dir``.

    Args:
        directory: The run's folder.
        config: The resolved configuration, as plain containers.
    """
    elsewhere = config["logger"].get("dir")
    return Path(elsewhere) / directory.name if elsewhere else directory


def offline_file_of(folder: RunFolder) -> Path | None:
    """The file of the run's only offline W&B run; ``None`` if there is none, or more than one.

    Raises:
        RunError: If the run's configuration is missing or damaged.
    """
    return offline_file(wandb_dir(folder.path, folder.settings()))


def summary_of(outcome: Mapping[str, Any]) -> dict[str, float]:
    """Summary values for sorting runs: the last and the best row, parameters, seconds of training.

    >>> outcome = {"final": {"step": 8, "val/iou": 0.5}, "best": {"step": 4, "val/iou": 0.6}, "parameters": 9}
    >>> summary_of({**outcome, "seconds": 1.5, "attempts": 2})
    ... # doctest: +NORMALIZE_WHITESPACE
    {'final/step': 8, 'final/val/iou': 0.5, 'best/step': 4, 'best/val/iou': 0.6, 'parameters': 9, 'seconds': 1.5}
    """
    rows = {f"{kind}/{key}": value for kind in ("final", "best") for key, value in outcome[kind].items()}
    return {**rows, **{key: outcome[key] for key in ("parameters", "seconds") if key in outcome}}


def write_finished(
    directory: Path,
    *,
    config: Mapping[str, Any],
    rows: Sequence[Mapping[str, float]],
    outcome: Mapping[str, Any],
    panel: Panel | None,
) -> Path:
    """Writes the offline W&B run of a finished training, and links it in ``wandb`` beside the run's folder.

    Args:
        directory: The run's folder.
        config: The resolved configuration, as plain containers.
        rows: Its whole history.
        outcome: Its result, with ``seconds`` where known.
        panel: Its validation images.

    Returns:
        The .wandb file.

    Raises:
        UserError: See ``write_offline_run``.
    """
    path = write_offline_run(
        directory=wandb_dir(directory, config),
        **about(config, run_id=outcome["run_id"], source=outcome["data"]),
        config=described(config, run_id=outcome["run_id"], source=outcome["data"]),
        rows=rows,
        panel=panel,
        summary=summary_of(outcome),
        log_files=partial(log_checkpoints, folder=RunFolder(directory), best=outcome["best"], last=outcome["final"])
        if config["logger"].get("checkpoints")
        else None,
    )
    link_offline_run(path)
    return path


def ensure_offline_run(folder: RunFolder) -> bool:
    """Writes the offline W&B run of a finished training from its folder, without images, unless it is complete.

    Returns:
        Whether it was written.

    Raises:
        RunError: If the folder is damaged, or W&B does not complete its file.
    """
    outcome = folder.outcome()
    assert outcome is not None, "the run must be finished"
    rows, config = folder.history_rows(), folder.settings()
    if is_complete(wandb_dir(folder.path, config), run_id=folder.run_id, num_rows=len(rows)):
        return False
    write_finished(folder.path, config=config, rows=rows, outcome=outcome, panel=None)
    return True
