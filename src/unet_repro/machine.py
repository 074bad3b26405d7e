"""What this machine can do, and how a process uses it.

Threads, memory order and precision change the last digits of a run at most; each choice is made here, with the
measurement behind it (``benchmarks/training_step.py``).
"""

import ctypes
import logging
import multiprocessing
import os
import platform
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable

import cv2
import joblib
import torch

from unet_repro.errors import ConfigError

# Widest network that trains faster in channels-last order, by instruction set, in float32. Where weights outweigh the
# image, oneDNN's gradients of the weights are faster in default order; without AVX-512 that begins at width 16.
_CHANNELS_LAST_UP_TO = {"AVX512": 32, "AVX2": 8}
_TRIAL_S = 2.0  # for which steps are timed to choose a number of threads


def instruction_set() -> str:
    """What torch uses of this processor: ``AVX512``, ``AVX2``, ... and ``bf16`` where it multiplies bfloat16."""
    capability = torch.backends.cpu.get_cpu_capability()
    if platform.machine().lower() in ("arm64", "aarch64"):
        capability = f"ARM {capability}"
    return f"{capability} bf16" if multiplies_bf16() else capability


def multiplies_bf16(device: str = "cpu") -> bool:
    """Whether a device multiplies bfloat16 natively; of processors those with AVX512_BF16, AMX or ARM's BF16."""
    if device == "cuda":
        return True
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # on ARM, this asks the processor
        return False
    is_arm = platform.machine().lower() in ("arm64", "aarch64")
    return is_arm or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def memory_order(device: str, width: int, *, training: bool, precision: str = "32-true") -> torch.memory_format:
    """The faster memory order of images and weights.

    Args:
        device: Type of the device, ``cpu`` or ``cuda``.
        width: Channels of the network's first level.
        training: Whether gradients are computed; a forward pass alone is faster in channels-last order everywhere.
        precision: Of the products; bfloat16 is faster in channels-last order everywhere.
    """
    if device == "cpu" and training and not precision.startswith("bf16"):
        most = _CHANNELS_LAST_UP_TO.get(torch.backends.cpu.get_cpu_capability(), 32)
        return torch.channels_last if width <= most else torch.contiguous_format
    return torch.channels_last


def autocast(device: torch.device, precision: str | int) -> torch.autocast:
    """Context in which convolutions multiply as ``precision`` says: ``bf16``, Lightning's names, or 32 for float32."""
    kind = torch.float16 if precision == "16-mixed" else torch.bfloat16
    return torch.autocast(device.type, kind, enabled=precision in ("bf16", "bf16-mixed", "16-mixed"))


def given_threads() -> int | None:
    """Number of threads that the environment sets (``OMP_NUM_THREADS``): a launcher's, a scheduler's or the user's."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def usable_cores() -> int:
    """Cores that this process may use: affinity, cpusets and a container's quota are respected."""
    return int(joblib.cpu_count())


def check_device(accelerator: str, devices: int, *, compiles: bool) -> None:
    """Refuses a device, or a compilation, that cannot be had here.

    Raises:
        ConfigError: If there are fewer GPUs than the run needs, or no compiler for ``trainer.compile``.
    """
    if accelerator == "gpu" and torch.cuda.device_count() < devices:
        raise ConfigError(
            f"trainer.accelerator=gpu trainer.devices={devices}, but torch sees {torch.cuda.device_count()} CUDA GPUs",
            hint="use trainer=cpu, or fewer trainer.devices",
        )
    compilers = (os.environ.get("CC"), os.environ.get("CXX"), "cc", "c++", "gcc", "g++", "clang")
    if compiles and not any(shutil.which(name) for name in compilers if name):
        raise ConfigError(
            "trainer.compile=true needs a C compiler, and none was found",
            hint="install gcc or clang, or use trainer.compile=false",
        )


def use_machine(threads: int | None) -> None:
    """Threads, memory and exact float32 for what follows in this process.

    Args:
        threads: ``None``: what the environment says, or all usable cores.
    """
    _keep_freed_memory()
    threads = threads or given_threads() or usable_cores()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.backends.cudnn.allow_tf32 = False  # a float32 result is on record as float32; training on GPUs is in bf16


def faster_threads(step: Callable[[], object]) -> int:
    """Number of threads with which a step is faster at this moment, one or all usable cores; leaves it set.

    Args:
        step: What is going to be repeated.
    """
    cores = usable_cores()
    if cores == 1:
        return 1
    times: dict[int, list[float]] = {1: [], cores: []}
    end = time.monotonic() + _TRIAL_S
    while len(times[cores]) < 2 or time.monotonic() < end:
        for threads, taken in times.items():
            use_machine(threads)
            start = time.perf_counter()
            step()
            taken.append(time.perf_counter() - start)
    chosen = min(times, key=lambda threads: min(times[threads][1:]))  # the first step warms up
    use_machine(chosen)
    return chosen


def die_with_parent() -> None:
    """Ends a sweep's worker when the process that started it ends, however that ends (Linux)."""
    if sys.platform == "linux" and multiprocessing.current_process().name != "MainProcess":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _keep_freed_memory() -> None:
    """Makes glibc keep large freed blocks: getting them again from the kernel, page by page, takes time.

    A tenth of a training step at width 8 and tile 572; at tile 1212 a prediction took 1.6 times as long.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its largest legal value
        mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
        mallopt(-4, 0)  # M_MMAP_MAX: blocks beyond that threshold too


def quiet_lightning() -> None:
    """Silences Lightning's advice on loaders and devices: the configuration decides, tiles are numbered."""
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
