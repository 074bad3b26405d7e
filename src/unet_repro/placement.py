"""How a process uses its machine: nothing here changes a run's numbers."""

import ctypes
import logging
import multiprocessing
import signal
import sys
import warnings

import cv2
import torch

from unet_repro.config import TrainerSettings
from unet_repro.errors import ConfigError


def check_device(settings: TrainerSettings) -> None:
    """Refuses a device that is not there.

    Raises:
        ConfigError: If a GPU is asked for and torch sees none.
    """
    if settings.accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("trainer.accelerator=gpu, but torch sees no CUDA device", mend="use trainer=cpu")


def place(settings: TrainerSettings) -> None:
    """Threads, memory and quiet for the training or prediction that follows in this process."""
    _quiet()
    use_machine(settings.threads)


def use_machine(threads: int | None) -> None:
    """Threads (``None``: as torch chooses) and memory for what follows in this process."""
    _keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)


def die_with_parent() -> None:
    """A worker of a sweep is told to stop when the process that started it ends, however that ends (Linux)."""
    if sys.platform == "linux" and multiprocessing.current_process().name != "MainProcess":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _keep_freed_memory() -> None:
    """Tells glibc to keep big freed blocks: fetching them anew from the kernel, page by page, takes time.

    A tenth of a training step at width 8 and tile 572; at tile 1212 a prediction took 1.6 times as long.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its largest legal value
        mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
        mallopt(-4, 0)  # M_MMAP_MAX: blocks beyond that threshold too


def _quiet() -> None:
    """Lightning's advice on loaders and devices does not apply: the configuration decides, tiles are numbered."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*GPU available but not used.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*dataloader is not resumable.*",
        ".*srun. command is available.*",
        ".*sync_dist=True.*",  # the task's measures are those of all devices already
    ):
        warnings.filterwarnings("ignore", message=message)
