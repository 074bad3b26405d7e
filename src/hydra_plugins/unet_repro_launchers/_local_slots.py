"""How many jobs run side by side, and which devices each of them sees."""

import os
from collections.abc import Iterable, Sequence

import joblib
import torch
from omegaconf import DictConfig

from unet_repro.errors import ConfigError


def slots(
    config: DictConfig, *, jobs: int | None, threads: int | None, gpus: str | Sequence[int | str] | None
) -> list[str | None]:
    """One entry for each place where a job can run.

    Args:
        config: Configuration of a job; all jobs of a sweep are placed alike.
        jobs: How many places; ``None``: one for each GPU, else as many as the cores allow.
        threads: Of each job, where ``trainer.threads`` says nothing.
        gpus: ``auto``, device names, or ``None``.

    Returns:
        Value of ``CUDA_VISIBLE_DEVICES`` for each place; ``None`` leaves it as it is.

    Raises:
        ConfigError: If a setting is out of range, or there are fewer GPUs than jobs, or than one job needs.
    """
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise ConfigError(f"hydra.launcher.jobs={jobs} is not a number of runs", hint="use 1 or more, or null")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"hydra.launcher.threads={threads} is not a number", hint="use 1 or more, or null")
    on_gpu = config.trainer.accelerator == "gpu"
    names = _names(gpus, on_gpu=on_gpu)
    if not names:
        cores = joblib.cpu_count()  # those that this process may use
        each = (config.trainer.threads or threads or cores) * (1 if on_gpu else config.trainer.devices)
        return [None] * (jobs or max(1, cores // each))
    places = grouped(names, config.trainer.devices if on_gpu else 1)
    if not places:
        raise ConfigError(
            f"trainer.devices={config.trainer.devices}, but the launcher has {len(names)} GPUs to hand out",
            hint="use fewer trainer.devices, or more hydra.launcher.gpus",
        )
    if jobs is not None and jobs > len(places):
        raise ConfigError(
            f"hydra.launcher.jobs={jobs}, but the devices {','.join(names)} are enough for {len(places)}",
            hint="use fewer jobs, or name each device as often as jobs shall share it: "
            f"hydra.launcher.gpus=[{','.join([*names, *names])}]",
        )
    return [*places[:jobs]]


def grouped(names: Sequence[str], num_each: int) -> list[str]:
    """Neighbouring devices together, as many as each job needs; what is left over stays idle.

    >>> grouped(["0", "1", "2", "3", "4"], 2)
    ['0,1', '2,3']
    """
    return [",".join(names[start : start + num_each]) for start in range(0, len(names) - num_each + 1, num_each)]


def _names(gpus: str | Iterable[int | str] | None, *, on_gpu: bool) -> list[str]:
    if gpus is None:
        return []
    if gpus == "auto":
        return _visible() if on_gpu else []
    if isinstance(gpus, str | int) or not gpus:
        raise ConfigError(f"hydra.launcher.gpus={gpus} is not a list of devices", hint="use auto, null, or e.g. [0,1]")
    return [str(name) for name in gpus]


def _visible() -> list[str]:
    """Names, as in ``CUDA_VISIBLE_DEVICES``, of the devices that this process sees."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    num = torch.cuda.device_count()
    return [name.strip() for name in given.split(",")][:num] if given else [str(index) for index in range(num)]
