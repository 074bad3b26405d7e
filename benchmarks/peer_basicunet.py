"""MONAI's BasicUNet as a network of this program: width 16, padded, instance norm; MONAI's defaults otherwise."""

from monai.networks.nets import BasicUNet
from timed import ADAM

WIDTH = 16
TILE_PX = 384  # it has four pooling layers: multiples of 16; better than 560 on EM slices 18-23 after 0-17
# A padded network learns from every pixel of its tile.
BASIC_UNET = [
    "model._target_=peer_basicunet.BasicUNet2d", "~model.depth", "~model.norm", "~model.dropout",
    f"model.width={WIDTH}", f"tiles.size={TILE_PX}", f"tiles.budget=1x{TILE_PX}",
    *ADAM, "trainer.precision=32-true",
]  # fmt: skip


class BasicUNet2d(BasicUNet):
    def __init__(self, *, in_channels: int, num_classes: int, width: int) -> None:
        levels = [width * 2**level for level in range(5)]
        super().__init__(spatial_dims=2, in_channels=in_channels, out_channels=num_classes, features=(*levels, width))
