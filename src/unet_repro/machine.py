"""The machine's capabilities, and how a process uses it.

Threads, memory order and precision affect at most the last digits of a run; each choice is made here, based on
measurements (``benchmarks/training_step.py``).
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
from typing import Literal

import cv2
import joblib
import torch

from unet_repro.errors import ConfigError

# Widest network that trains faster in channels-last order, by instruction set, in float32. Where weights exceed the
# image, oneDNN's gradients of the weights are faster in default order; without AVX-512 from width 16 on.
_CHANNELS_LAST_UP_TO = {"AVX512": 32, "AVX2": 8}
_TRIAL_S = 2.0  # of timing, to choose the number of threads


def instruction_set() -> str:
    """Instruction set that torch uses: ``AVX512``, ``AVX2``, ...; with ``bf16`` if bfloat16 is native."""
    capability = torch.backends.cpu.get_cpu_capability()
    if platform.machine().lower() in ("arm64", "aarch64"):
        capability = f"ARM {capability}"
    return f"{capability} bf16" if multiplies_bf16() else capability


def precision_of(asked: Literal[32, "bf16", "auto"], device: str = "cpu") -> Literal[32, "bf16"]:
    """The precision of the products; ``auto``: bf16 where the device multiplies it natively.

    Args:
        asked: The setting.
        device: ``cpu`` or ``cuda``.
    """
    if asked != "auto":
        return asked
    return "bf16" if multiplies_bf16(device) else 32


def multiplies_bf16(device: str = "cpu") -> bool:
    """Whether a device multiplies bfloat16 natively; CPUs do with AVX512_BF16, AMX or ARM's BF16."""
    if device == "cuda":  # without a GPU here, the one of a cluster's node is assumed to be recent
        return not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False)
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # on ARM, this queries the CPU
        return False
    is_arm = platform.machine().lower() in ("arm64", "aarch64")
    return is_arm or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def memory_order(device: str, width: int, *, training: bool, precision: str = "32-true") -> torch.memory_format:
    """The faster memory order for images and weights.

    Args:
        device: Type of the device, ``cpu`` or ``cuda``.
        width: Channels of the network's first level.
        training: Whether gradients are computed; a forward pass alone is faster in channels-last order everywhere.
        precision: Of products; bfloat16 is faster in channels-last order everywhere.
    """
    if device == "cpu" and training and not precision.startswith("bf16"):
        most = _CHANNELS_LAST_UP_TO.get(torch.backends.cpu.get_cpu_capability(), 32)
        return torch.channels_last if width <= most else torch.contiguous_format
    return torch.channels_last


def autocast(device: torch.device, precision: str | int) -> torch.autocast:
    """Context that sets the precision of convolutions: ``bf16``, Lightning's names, or 32 for float32."""
    kind = torch.float16 if precision == "16-mixed" else torch.bfloat16
    return torch.autocast(device.type, kind, enabled=precision in ("bf16", "bf16-mixed", "16-mixed"))


def given_threads() -> int | None:
    """Number of threads set by a launcher, a scheduler or the user in the environment (``OMP_NUM_THREADS``)."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def usable_cores() -> int:
    """Number of cores that affinity, cpusets and a container's quota allow this process."""
    return int(joblib.cpu_count())


def check_device(accelerator: str, devices: int, *, compiles: bool) -> None:
    """Rejects a device or a compilation that is not available here.

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
    """Sets threads, memory allocation and exact float32 in this process.

    Args:
        threads: ``None``: those of the environment, or all usable cores.
    """
    _keep_freed_memory()
    threads = threads or given_threads() or usable_cores()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.backends.cudnn.allow_tf32 = False  # results recorded as float32 are float32; GPUs train in bf16


def faster_threads(step: Callable[[], object]) -> int:
    """Sets and returns the number of threads with which a step is now faster: one or all usable cores."""
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
    """Ends a sweep's worker when its parent process ends for any reason (Linux)."""
    if sys.platform == "linux" and multiprocessing.current_process().name != "MainProcess":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _keep_freed_memory() -> None:
    """Makes glibc keep large freed blocks: requesting them again from the kernel is slow.

    That costs a tenth of a training step at width 8 and tile 572; a prediction at tile 1212 took 1.6 times as long.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its largest legal value
        mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
        mallopt(-4, 0)  # M_MMAP_MAX: blocks above that threshold too


def quiet_lightning() -> None:
    """Silences Lightning's warnings on loaders and devices, which the configuration sets."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*GPU available but not used.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*dataloader is not resumable.*",
        ".*srun. command is available.*",
        ".*sync_dist=True.*",  # the task's measures already cover all devices
    ):
        warnings.filterwarnings("ignore", message=message)
