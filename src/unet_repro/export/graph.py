"""The graphs that are exported: grey values in, class probabilities out, of images of any size or of single tiles.

A network that was trained at a working resolution takes images of that resolution: the graph does not resample.

Tensor names: B batch, C channels, H W image or tile, h w output of a tile, K classes.
"""

import torch
from torch import Tensor, nn

from unet_repro.heads import probabilities_of
from unet_repro.runs.network import Network
from unet_repro.tile_geometry import TileGeometry


class Deployed(nn.Module):
    """Normalisation, mirror padding to a legal size, network, softmax, and crop to the image.

    Its arithmetic on sizes is understood by ``torch.export`` and ``torch.jit.trace`` alike, so that both keep every
    size dynamic.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.net, self.geometry, self.head = network.net, network.geometry, network.head
        statistics = network.normalisation
        self.register_buffer("mean", torch.tensor(statistics.mean, dtype=torch.float64)[:, None, None])
        self.register_buffer("std", torch.tensor(statistics.std, dtype=torch.float64)[:, None, None])

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Class probabilities.

        Args:
            image_BCHW: Grey values as stored, float32, of at least one pixel.

        Returns:
            ``(B, K, H, W)`` float32, sums to 1 over K; the seed map follows, if the network has one (``heads``).
        """
        rows, columns = image_BCHW.shape[2], image_BCHW.shape[3]
        tile = self.normalised(image_BCHW).index_select(2, covering_indices(rows, self.geometry))
        return self.probabilities(tile.index_select(3, covering_indices(columns, self.geometry)))[:, :, :rows, :columns]

    def normalised(self, image_BCHW: Tensor) -> Tensor:
        """Grey values with the training images' mean 0 and standard deviation 1, float32."""
        return ((image_BCHW.double() - self.mean) / self.std).float()

    def probabilities(self, tile_BCHW: Tensor) -> Tensor:
        """Probabilities, and the seed map if there is one, of a normalised tile of legal size."""
        return probabilities_of(self.head.read(self.net(tile_BCHW)), self.head.num_classes)


class DeployedTile(Deployed):
    """Normalisation, network and softmax, for programs that tile images themselves."""

    def forward(self, tile_BCHW: Tensor) -> Tensor:
        """Class probabilities of the tile's valid centre.

        Args:
            tile_BCHW: Grey values as stored, float32, height and width legal.

        Returns:
            ``(B, K, h, w)`` float32, sums to 1 over K.
        """
        tile = self.normalised(tile_BCHW)
        for axis in (2, 3):  # selects all pixels, and makes the exporter see that the size is legal
            num_steps = (
                tile.shape[axis] - self.geometry.smallest_px + self.geometry.step_px - 1
            ) // self.geometry.step_px
            legal = self.geometry.smallest_px + num_steps * self.geometry.step_px
            tile = tile.index_select(axis, torch.arange(legal, dtype=torch.int64))
        return self.probabilities(tile)


def covering_indices(size: int, geometry: TileGeometry) -> Tensor:
    """Pixels of a line that the smallest tile covering it consists of, mirrored at both ends as often as necessary.

    The same as ``data.tiles.mirror_indices(-halo_px, geometry.covering(size), size)``, in operations of torch.

    Returns:
        Indices, int64, as many as the smallest legal size whose output is at least ``size``.

    >>> covering_indices(3, TileGeometry(smallest_px=6, step_px=2, halo_px=2))
    tensor([2, 1, 0, 1, 2, 1, 0, 1])
    """
    step = geometry.step_px
    num_steps = (size + 2 * geometry.halo_px - geometry.smallest_px + step - 1) // step
    if geometry.smallest_px - 2 * geometry.halo_px > step:  # otherwise never negative
        num_steps = (num_steps + abs(num_steps)) // 2  # max(num_steps, 0), which tracing would evaluate once
    position = torch.arange(geometry.smallest_px + num_steps * step, dtype=torch.int64) - geometry.halo_px
    last = torch.arange(size, dtype=torch.int64)[-1:]
    period = (2 * last).clamp(min=1)
    folded = torch.remainder(position, period)
    return torch.minimum(folded, period - folded)
