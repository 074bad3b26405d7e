"""Networks of a user, defined outside the package."""

import torch
from torch import nn

from unet_repro import TileGeometry


class SamePadded(nn.Module):
    """Same-padding and one pooling; its geometry is derived."""

    def __init__(self, *, in_channels: int, num_classes: int, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.Dropout(0.1))
        self.deep = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(width, width, 3, padding=1), nn.Upsample(scale_factor=2))
        self.head = nn.Conv2d(2 * width, num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = self.first(x)
        return self.head(torch.cat([skip, self.deep(skip)], 1))


class Declared(SamePadded):
    """Crops what depends on its padding, and declares it."""

    tile_geometry = TileGeometry(smallest_px=20, step_px=2, halo_px=6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[..., 6:-6, 6:-6]


class Shrinking(SamePadded):
    """Returns scores at half the resolution: neither declared nor derivable."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[..., ::2, ::2]
