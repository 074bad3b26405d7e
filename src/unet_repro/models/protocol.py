"""What the program needs to know of a network, so that one of the user's own trains, predicts and exports.

A network is any importable ``torch.nn.Module``, selected by ``model._target_=package.module.Class``:

- Its constructor takes ``in_channels`` and ``num_classes``, which come from the data, as keywords; other arguments are
  settings ``model.*``, checked against its annotations.
- ``forward`` maps ``(B, C, H, W)`` float to class scores ``(B, K, h, w)`` before the softmax, where the output is the
  centre of the input without a constant halo (none for a network with same-padding), and H and W may differ.
- ``tile_geometry``, a ``TileGeometry``, declares legal sizes, step and halo. Without it they are derived by running the
  network on the meta device, that is, on shapes without values.

A network that pools or strides must be shifted by a multiple of its total stride for its output only to be shifted. The
derivation finds that step from the legal sizes, and from the strides of the convolutions and poolings that are modules;
declare the geometry where the network hides it, such as with ``torch.nn.functional.max_pool2d`` on sizes that are
rounded.

Tensor names: B batch, C channels, H W input, h w output, K classes.
"""

import copy
import math
from typing import Any

import torch
from torch import nn

from unet_repro.errors import GeometryError
from unet_repro.tile_geometry import TileGeometry

LARGEST_PX = 1024  # up to which a legal size is searched
SAME_SIZE_PX = 64  # smallest tile of a network without halo: smaller ones consist mostly of padded border


def tile_geometry(net: nn.Module) -> TileGeometry:
    """The declared geometry of a network, or the one that its output sizes show.

    Raises:
        GeometryError: If it is not declared and cannot be derived.

    >>> tile_geometry(nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ConvTranspose2d(4, 2, 2, 2)))
    TileGeometry(smallest_px=4, step_px=2, halo_px=1, name='Sequential')
    """
    declared = getattr(net, "tile_geometry", None)
    return declared if isinstance(declared, TileGeometry) else _derived(net)


def in_channels(net: nn.Module) -> int:
    """Channels of a network's images: its attribute, or that of its first module that has one.

    Raises:
        GeometryError: If there is none.
    """
    found = next((m.in_channels for m in net.modules() if isinstance(getattr(m, "in_channels", None), int)), None)
    if found is None:
        raise GeometryError(
            f"{type(net).__name__} has no in_channels", hint="give the network an attribute in_channels"
        )
    return int(found)  # type: ignore[arg-type]  # checked above


def first_width(net: nn.Module) -> int:
    """Channels after the first convolution; 64, the paper's, without one. Determines the faster memory order."""
    return next((module.out_channels for module in net.modules() if isinstance(module, nn.Conv2d)), 64)


def normalises_tiles(net: nn.Module) -> bool:
    """Whether the output depends on the complete tile, by instance or group normalisation."""
    return any(isinstance(module, nn.GroupNorm | nn.modules.instancenorm._InstanceNorm) for module in net.modules())


def dtype_of(net: nn.Module) -> torch.dtype:
    """Type of a network's weights; float32 without weights."""
    return next((parameter.dtype for parameter in net.parameters()), torch.float32)


def _derived(net: nn.Module) -> TileGeometry:
    name = type(net).__name__
    probe = _Probe(net)
    sizes = ((size, probe.output(size, size)) for size in range(1, LARGEST_PX + 1))
    legal = ((size, found) for size, found in sizes if found is not None)
    (least, found), (second, _) = next(legal, (0, None)), next(legal, (0, None))
    if found is None or not second:
        raise GeometryError(
            f"no legal tile size of {name} up to {LARGEST_PX} pixels was found: {probe.last_error}",
            hint=f"let {name} declare its tile_geometry = TileGeometry(smallest_px=..., step_px=..., halo_px=...)",
        )
    step, halo = math.lcm(second - least, probe.stride), (least - found[0]) // 2
    if halo == 0:
        least += max(0, -(-(SAME_SIZE_PX - least) // step)) * step
    shapes = [(least, least), (least + step, least), (least + 2 * step, least + 3 * step)]
    if halo < 0 or any(probe.output(*shape) != (shape[0] - 2 * halo, shape[1] - 2 * halo) for shape in shapes):
        raise GeometryError(
            f"the output of {name} is not its input without a constant halo on each side, as a probe of sizes shows",
            hint=f"let {name} return scores at the resolution of the image, or declare its tile_geometry",
        )
    return TileGeometry(least, step, halo, name=name)


class _Probe:
    """Runs a copy of a network on shapes."""

    def __init__(self, net: nn.Module) -> None:
        self.net = copy.deepcopy(net).to("meta").eval()
        self.channels = in_channels(net)
        self.dtype = dtype_of(net)
        self.stride = 1
        self.last_error = "it returns no image"
        self._met = 1
        for module in self.net.modules():
            if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
                module.register_forward_hook(self._meet)

    def _meet(self, module: Any, _inputs: Any, _output: Any) -> None:
        stride = module.stride
        self._met *= max(stride) if isinstance(stride, tuple) else stride

    def output(self, height: int, width: int) -> tuple[int, int] | None:
        """Output height and width; ``None`` if the network cannot process this size."""
        self._met = 1
        try:
            with torch.inference_mode(), torch.device("meta"):
                scores = self.net(torch.zeros(2, self.channels, height, width, dtype=self.dtype))
        except Exception as error:  # whatever a network raises for a size that it cannot process
            self.last_error = str(error).splitlines()[0] if str(error) else type(error).__name__
            return None
        if not isinstance(scores, torch.Tensor) or scores.ndim != 4 or 0 in scores.shape:
            return None
        self.stride = self._met
        return int(scores.shape[2]), int(scores.shape[3])
