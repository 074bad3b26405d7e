"""How many jobs run in parallel, and which devices each of them sees."""

import os
from collections.abc import Iterable, Sequence

import joblib
import torch
from omegaconf import DictConfig

from unet_repro.errors import ConfigError


def slots(
    config: DictConfig, *, jobs: int | None, threads: int | None, gpus: str | Sequence[int | str] | None
) -> list[str | None]:
    """One entry for each job that can run in parallel.

    Args:
        config: Configuration of a job; all jobs of a sweep use the same devices.
        jobs: Number of slots; ``None``: one for each GPU, else as many as the cores allow.
        threads: Threads of each job if ``trainer.threads`` is null.
        gpus: ``auto``, device names, or ``None``.

    Returns:
        Value of ``CUDA_VISIBLE_DEVICES`` for each slot; ``None`` leaves the variable unchanged.

    Raises:
        ConfigError: If a setting is out of range, or there are too few GPUs for the jobs or for one job.
    """
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise ConfigError(f"hydra.launcher.jobs={jobs} must be at least 1, or null", hint="use 1 or more, or null")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"hydra.launcher.threads={threads} must be at least 1", hint="use 1 or more, or null")
    on_gpu = config.trainer.accelerator == "gpu"
    names = _names(gpus, on_gpu=on_gpu)
    if not names:
        cores = joblib.cpu_count()  # those that this process may use
        each = (config.trainer.threads or threads or cores) * (1 if on_gpu else config.trainer.devices)
        return [None] * (jobs or max(1, cores // each))
    groups = grouped(names, config.trainer.devices if on_gpu else 1)
    if not groups:
        raise ConfigError(
            f"trainer.devices={config.trainer.devices}, but the launcher has only {len(names)} GPUs",
            hint="use fewer trainer.devices, or more hydra.launcher.gpus",
        )
    if jobs is not None and jobs > len(groups):
        raise ConfigError(
            f"hydra.launcher.jobs={jobs}, but the devices {','.join(names)} are enough for only {len(groups)}",
            hint="use fewer jobs, or list a device once for each job that shares it: "
            f"hydra.launcher.gpus=[{','.join([*names, *names])}]",
        )
    return [*groups[:jobs]]


def grouped(names: Sequence[str], num_each: int) -> list[str]:
    """Groups neighbouring devices, as many as each job needs; leftover devices stay idle.

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
