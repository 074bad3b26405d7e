"""The tile sizes that a network can process, and how much of a tile it predicts."""

from dataclasses import dataclass, field

from unet_repro.errors import GeometryError


@dataclass(frozen=True)
class TileGeometry:
    """Legal input sizes of a network, and their output sizes; the same for rows and columns.

    Legal sizes are ``smallest_px + n * step_px``; the output is the input's centre without ``halo_px`` on each side.
    Shifting the input by ``step_px`` only shifts the output: tiles at multiples of it are stitched without seams.
    A network whose output is as large as its input has ``halo_px=0``.

    Attributes:
        smallest_px: The smallest legal input size.
        step_px: Distance of two legal sizes, such as ``2 ** depth``.
        halo_px: Pixels lost on each side.
        name: The network in messages.

    Raises:
        GeometryError: If the smallest size or the step is not positive, the halo is negative, or nothing is left of
            the smallest size.

    >>> geometry = TileGeometry(smallest_px=188, step_px=16, halo_px=92)
    >>> geometry.output_size(572), geometry.nearest_legal(512), geometry.covering(512)
    (388, (508, 524), 700)
    """

    smallest_px: int
    step_px: int = 1
    halo_px: int = 0
    name: str = field(default="this network", compare=False)

    def __post_init__(self) -> None:
        if self.step_px < 1 or self.halo_px < 0 or self.smallest_px <= 2 * self.halo_px:
            raise GeometryError(
                f"smallest_px={self.smallest_px}, step_px={self.step_px}, halo_px={self.halo_px} is not a geometry",
                hint="use a step of 1 or more, a halo of 0 or more, and a smallest size above two halos",
            )

    def is_legal(self, size: int) -> bool:
        """Whether the network can process tiles of this size."""
        return size >= self.smallest_px and (size - self.smallest_px) % self.step_px == 0

    def output_size(self, size: int) -> int:
        """Size of the output for a legal input size.

        Raises:
            GeometryError: If the size is not legal; names the nearest legal sizes.
        """
        if not self.is_legal(size):
            raise GeometryError(
                f"input size {size} is not legal for {self.name}; "
                f"legal sizes are {self.smallest_px} + {self.step_px} n pixels",
                hint=f"use {' or '.join(map(str, self.nearest_legal(size)))}",
            )
        return size - 2 * self.halo_px

    def nearest_legal(self, size: int) -> tuple[int, ...]:
        """The nearest legal sizes below and above, or the size itself if it is legal."""
        if size <= self.smallest_px:
            return (self.smallest_px,)
        below = self.smallest_px + (size - self.smallest_px) // self.step_px * self.step_px
        return (below,) if below == size else (below, below + self.step_px)

    def covering(self, output: int) -> int:
        """The smallest legal input size whose output is at least ``output``."""
        return self.nearest_legal(max(output, 1) + 2 * self.halo_px)[-1]
