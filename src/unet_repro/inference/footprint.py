"""Memory of a forward pass of any network, from a run on the meta device."""

import copy
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unet_repro.models.protocol import dtype_of
from unet_repro.tile_geometry import TileGeometry

STEPS = 4  # the measured tile is this many steps, and at least as many pixels as PIXELS, above the smallest
PIXELS = 128


def values_per_pixel(net: nn.Module, geometry: TileGeometry, in_channels: int) -> float:
    """Largest number of values that exist at once during a forward pass, per input pixel.

    Args:
        net: The network.
        geometry: Its legal tiles.
        in_channels: Channels of its images.

    >>> net = nn.Sequential(nn.Conv2d(1, 6, 1), nn.ReLU(), nn.Conv2d(6, 2, 1))
    >>> values_per_pixel(net, TileGeometry(smallest_px=1), in_channels=1)
    13.0
    """
    size = geometry.covering(max(PIXELS, geometry.smallest_px - 2 * geometry.halo_px + STEPS * geometry.step_px))
    on_meta = copy.deepcopy(net).to("meta").eval()
    with torch.inference_mode(), torch.device("meta"):
        tile = torch.zeros(1, in_channels, size, size, dtype=dtype_of(net))
        with _LiveValues() as live:
            on_meta(tile)
    return float(live.peak + tile.numel()) / size**2


class _LiveValues(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch lacks the types
    """Counts the values of all tensors that operations return and that still exist."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {_storage(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and _storage(tensor) not in given:  # neither in place nor a view
                self._add(tensor.numel())
                weakref.finalize(tensor, self._add, -tensor.numel())
        return result

    def _add(self, number: int) -> None:
        self.now += number
        self.peak = max(self.peak, self.now)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
