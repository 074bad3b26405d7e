"""One run on several devices: one process each, which share a step's tiles and average their gradients.

The original process is the first; it spawns the others, which run the same function and write nothing.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import SpawnProcess
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from unet_repro.errors import Stopped, TrainingError, UserError

_PLACE = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK")


class SharedDropout(nn.Module):
    """Dropout whose mask over the tiles of all devices equals the mask that a single device would draw.

    Args:
        p: Probability of zeroing an element.
        rank: Rank of this device.
        num_devices: Number of devices.
    """

    def __init__(self, p: float, rank: int, num_devices: int) -> None:
        super().__init__()
        self.p, self.rank, self.num_devices = p, rank, num_devices

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Zeroes elements and scales the others, in training only."""
        if not self.training or self.p == 0:
            return x_BCHW
        share = x_BCHW.shape[0]
        # In the input's memory format, which determines the order of the draws.
        order = (
            torch.channels_last if x_BCHW.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        )
        ones = x_BCHW.new_ones((share * self.num_devices, *x_BCHW.shape[1:])).contiguous(memory_format=order)
        mask = F.dropout(ones, self.p)
        return x_BCHW * mask[self.rank * share : (self.rank + 1) * share]


def share_dropout(net: nn.Module, rank: int, num_devices: int) -> None:
    """Replaces every ``torch.nn.Dropout`` of a network by a ``SharedDropout``."""
    found = [(parent, name, child) for parent in net.modules() for name, child in parent.named_children()]
    for parent, name, child in found:
        if isinstance(child, nn.Dropout):
            setattr(parent, name, SharedDropout(child.p, rank, num_devices))


@contextlib.contextmanager
def beside(function: Callable[..., None], arguments: tuple[Any, ...], num_devices: int) -> Iterator[None]:
    """Runs ``function(*arguments, rank)`` in a process for each further device; the block runs as the first device.

    Args:
        function: A module-level function, so that a new process can import it.
        arguments: Its arguments; they must be picklable.
        num_devices: Number of devices; 1 starts no further processes.

    Raises:
        TrainingError: If the block fails because one of the processes has failed.
    """
    if num_devices == 1:
        yield
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    before = {name: os.environ.get(name) for name in _PLACE}
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, WORLD_SIZE=str(num_devices), NODE_RANK="0")
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_run, args=(function, arguments, rank)) for rank in range(1, num_devices)]
    try:
        for process in others:
            process.start()
        os.environ["LOCAL_RANK"] = "0"
        yield
    except Exception as error:
        # Errors that are not ours are those of a lost connection; of a diverged loss, every process has the same.
        if not isinstance(error, UserError) and (failed := _failed(others)) is not None:
            raise TrainingError(
                f"the process of device {failed} of {num_devices} failed; its message is above", hint="see there"
            ) from error
        raise
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for process in others:
            process.join(10)  # each has ended as well, or has lost its connection
            process.kill()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _failed(processes: Sequence[SpawnProcess]) -> int | None:
    """The rank of a process that has ended with an error, if there is one."""
    for process in processes:
        process.join(0.5)
    return next((rank for rank, process in enumerate(processes, start=1) if process.exitcode), None)


def _run(function: Callable[..., None], arguments: tuple[Any, ...], rank: int) -> None:
    os.environ["LOCAL_RANK"] = str(rank)
    for name in ("SIGUSR1", "SIGUSR2"):  # a scheduler may warn every process; the first device decides what follows
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)
    with contextlib.suppress(Stopped):  # the first device reports it
        function(*arguments, rank)
