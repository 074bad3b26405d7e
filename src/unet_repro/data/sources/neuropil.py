"""EM-like stacks of neuropil, generated from random numbers.

Cells are a power diagram (a Voronoi diagram whose seeds have radii) in a smoothly warped plane. Their seeds drift,
appear and vanish along z, so that slices resemble their neighbours as in serial-section microscopy. Lengths are in
pixels, grey values in units of uint8; z counts slices.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from unet_repro.data.labels import classes_from_instances

GENERATOR_VERSION = 1  # part of the cache's file name: increase it with every change that affects a pixel
MIN_SIZE_PX = 64
MARGIN_PX = 96  # cells are also placed beyond the image's border, since they drift into the image
# Smooth random fields: distance of their grid points in pixels, and correlation between slices.
FIELDS = {
    "u": (56, 0.9),  # the warp, coarse and fine
    "v": (56, 0.9),
    "fine_u": (14, 0.8),
    "fine_v": (14, 0.8),
    "oblique": (36, 0.6),  # where membranes are wide and faint
    "contrast": (20, 0.5),  # of membranes
    "synapse": (22, 0.7),  # dark stain beside membranes
    "crowd": (40, 0.8),  # density of vesicles and tubules
    "tubule": (11, 0.3),  # its zero line is a tubule of the endoplasmic reticulum
    "texture": (5, 0.0),
    "stain": (48, 0.7),
    "light": (200, 0.3),
}

Floats = npt.NDArray[np.float32]
Stack = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]


@dataclass(frozen=True)
class _Cells:
    """N cells: seeds ``(N, 2)`` as x, y at mid-life, drift ``(N, 2)`` per slice, the rest ``(N,)``."""

    xy: npt.NDArray[np.float64]
    drift: npt.NDArray[np.float64]
    radius: npt.NDArray[np.float64]
    birth: npt.NDArray[np.float64]
    death: npt.NDArray[np.float64]
    grey: npt.NDArray[np.float64]

    def at(self, z: int) -> npt.NDArray[np.float64]:
        """Seeds ``(N, 2)`` in slice ``z``."""
        return self.xy + self.drift * (z - (self.birth + self.death) / 2)[:, None]


def _pack_cells(rng: np.random.Generator, num_slices: int, size_px: int) -> _Cells:
    """Places random discs, large ones first, and drops those that overlap a disc of the same lifetime too much."""
    span = size_px + 2 * MARGIN_PX
    num_darts = int(span**2 / 250)
    radius = np.sort(np.clip(rng.lognormal(np.log(13.5), 0.6, num_darts), 8, 62))[::-1]
    xy = rng.uniform(-MARGIN_PX, size_px + MARGIN_PX, (num_darts, 2))
    birth = np.where(rng.random(num_darts) < 0.6, -99.0, rng.uniform(-12, num_slices, num_darts))
    death = np.where(birth < -12, num_slices + 99.0, birth + rng.uniform(8, 20, num_darts))
    kept: list[int] = []
    for i in range(num_darts):
        clear = 0.78 * (radius[i] + radius[kept])
        near = ((xy[kept] - xy[i]) ** 2).sum(1) < clear**2
        if not (near & (birth[kept] < death[i]) & (birth[i] < death[kept])).any():
            kept.append(i)
    drift = rng.normal(0, 0.55, (num_darts, 2)) + rng.normal(0, 0.8, 2)
    grey = rng.normal(0, 12, num_darts)
    return _Cells(xy[kept], drift[kept], radius[kept], birth[kept], death[kept], grey[kept])


def _noise(rng: np.random.Generator, num_slices: int, size_px: int, scale_px: int, memory: float) -> Floats:
    """Grid ``(Z, g, g)`` of unit normal values, ``scale_px`` apart, correlated by ``memory`` from slice to slice."""
    side = size_px // scale_px + 4
    grid = rng.standard_normal((num_slices, side, side), dtype=np.float32)
    for z in range(1, num_slices):
        grid[z] = memory * grid[z - 1] + np.sqrt(1 - memory**2) * grid[z]
    return grid


def _enlarge(grid: Floats, size_px: int, scale_px: int) -> Floats:
    """Interpolates a grid of ``_noise`` to ``(size_px, size_px)``."""
    side = grid.shape[0] * scale_px
    whole = np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    return whole[scale_px : scale_px + size_px, scale_px : scale_px + size_px]


def _partition(cells: _Cells, z: int, u: Floats, v: Floats) -> tuple[npt.NDArray[np.int32], Floats]:
    """Assigns to each point of the warped plane its cell and its distance to the border with the next cell.

    A power diagram is the nearest-neighbour diagram of seeds lifted by ``sqrt(max(r^2) - r^2)`` out of the plane
    (Aurenhammer 1987, doi:10.1137/0216006); the two smallest powers give the distance to their bisector.

    Args:
        cells: The cells.
        z: Slice.
        u: ``(H, W)`` warped x, H and W even.
        v: ``(H, W)`` warped y.

    Returns:
        Index of the cell, ``(H, W)`` int32, and distance in pixels, ``(H, W)`` float32.
    """
    alive = np.flatnonzero((cells.birth < z) & (z < cells.death))
    age = np.clip(np.minimum(z - cells.birth[alive], cells.death[alive] - z) / 4, 0, 1)
    power = cells.radius[alive] ** 2 * age
    xy = cells.at(z)[alive]
    tree = cKDTree(np.c_[xy, np.sqrt(power.max() - power)])
    half = (u.shape[1] // 2, u.shape[0] // 2)  # half resolution: four times faster, and borders are smooth
    points = np.stack([cv2.resize(f, half, interpolation=cv2.INTER_AREA) for f in (u, v)], -1)
    flat = points.reshape(-1, 2)
    lifted, nearest = tree.query(np.c_[flat, np.zeros(len(flat))], k=2)
    apart = (xy[nearest[:, 1]] - xy[nearest[:, 0]]).reshape(points.shape)
    slope = np.hypot(
        *((apart * np.gradient(points, 2.0, axis=axis)).sum(-1) for axis in (0, 1))
    )  # of the power, in the image
    gap = (lifted[:, 1] ** 2 - lifted[:, 0] ** 2).reshape(slope.shape)
    to_border = (gap / (2 * np.maximum(slope, 0.5 * np.hypot(*np.moveaxis(apart, -1, 0))))).astype(np.float32)
    full = (u.shape[1], u.shape[0])
    index = cv2.resize(alive[nearest[:, 0]].astype(np.int32).reshape(half[::-1]), full, interpolation=cv2.INTER_NEAREST)
    return index, np.asarray(cv2.resize(to_border, full, interpolation=cv2.INTER_LINEAR))


@dataclass(frozen=True)
class _Mitochondrion:
    """An ellipse of half-axes ``axes`` at ``offset`` from its cell's seed, with cristae (stripes) across."""

    cell: int
    offset: npt.NDArray[np.float64]
    axes: tuple[float, float]
    angle: float
    birth: float
    death: float
    depth: float


def _place_mitochondria(rng: np.random.Generator, cells: _Cells, num_slices: int) -> list[_Mitochondrion]:
    placed = []
    for cell in np.flatnonzero(cells.radius > 17):
        for _ in range(rng.poisson(0.09 * num_slices * min(cells.radius[cell] / 40, 1.5))):
            birth = rng.uniform(-8, num_slices)
            a, b = rng.uniform(7, 0.6 * min(cells.radius[cell], 36), 2).tolist()
            offset = rng.normal(0, cells.radius[cell] / 3, 2)
            angle, lifetime, depth = rng.uniform((0, 5, 40), (np.pi, 10, 80)).tolist()
            placed.append(_Mitochondrion(int(cell), offset, (a, b), angle, birth, birth + lifetime, depth))
    return placed


def _draw_mitochondria(
    dark: Floats,
    *,
    mitochondria: list[_Mitochondrion],
    cells: _Cells,
    z: int,
    inside: Floats,
    index: npt.NDArray[np.int32],
    u: Floats,
    v: Floats,
) -> None:
    """Adds to ``dark`` in place where a mitochondrion of this slice is inside its cell."""
    size_px = dark.shape[0]
    centres = cells.at(z)
    for m in mitochondria:
        if not m.birth < z < m.death:
            continue
        x, y = (centres[m.cell] + m.offset).tolist()  # plain numbers keep the arrays float32
        reach = max(m.axes) + 24  # the warp moves it
        low_x, high_x, low_y, high_y = (
            int(np.clip(c, 0, size_px)) for c in (x - reach, x + reach, y - reach, y + reach)
        )
        box = np.s_[low_y:high_y, low_x:high_x]
        dx, dy = u[box] - x, v[box] - y
        along = dx * np.cos(m.angle) + dy * np.sin(m.angle)
        across = dy * np.cos(m.angle) - dx * np.sin(m.angle)
        swell = min(max(min(z - m.birth, m.death - z) / 2, 0.1), 1) ** 0.5
        rim = (1 - np.hypot(along / m.axes[0], across / m.axes[1]) / swell) * min(m.axes)  # about px from its border
        body = np.clip(rim, 0, 1) * (0.75 + 0.3 * np.sin(along * 1.3 + 0.15 * across)) + 0.8 * np.exp(
            -((rim / 1.5) ** 2)
        )
        dark[box] += np.where((index[box] == m.cell) & (inside[box] > 3), m.depth * body, 0)


def _draw_vesicles(rng: np.random.Generator, dark: Floats, inside: Floats, crowd: Floats) -> None:
    """Adds random rings and dots inside cells to ``dark`` in place, more where ``crowd`` is high."""
    size_px = dark.shape[0]
    yx = rng.integers(8, size_px - 8, (size_px**2 // 180, 2))
    radius = rng.uniform(0, 4.5, len(yx))
    depth = rng.uniform(25, 95, len(yx))
    keep = (inside[yx[:, 0], yx[:, 1]] > radius + 3) & (crowd[yx[:, 0], yx[:, 1]] > rng.normal(0.2, 0.5, len(yx)))
    yx, radius, depth = yx[keep], radius[keep, None, None], depth[keep, None, None]
    dy, dx = np.mgrid[-8:9, -8:9]
    stamp = depth * np.exp(-(((np.hypot(dy, dx) - radius) / 1.1) ** 2))
    np.maximum.at(dark, (yx[:, 0, None, None] + dy, yx[:, 1, None, None] + dx), stamp.astype(np.float32))


def grow_stack(rng: np.random.Generator, *, num_slices: int, size_px: int) -> Stack:
    """Generates one stack.

    Args:
        rng: Source of all randomness.
        num_slices: Z.
        size_px: Height and width.

    Returns:
        Images ``(Z, size_px, size_px)`` uint8, and instance labels of the same shape, int32, 0 = membrane; a cell keeps
        its label along z.
    """
    even = size_px + size_px % 2
    cells = _pack_cells(rng, num_slices, even)
    mitochondria = _place_mitochondria(rng, cells, num_slices)
    grids = {name: _noise(rng, num_slices, even, scale, memory) for name, (scale, memory) in FIELDS.items()}
    jitter = rng.normal(0, 1.0, (num_slices, 2)).astype(np.float32)  # of the sections' alignment
    y, x = np.mgrid[:even, :even].astype(np.float32)
    images = np.empty((num_slices, even, even), np.uint8)
    labels = np.empty((num_slices, even, even), np.int32)
    for z in range(num_slices):
        f = {name: _enlarge(grids[name][z], even, scale) for name, (scale, _) in FIELDS.items()}
        u = x + 11 * f["u"] + 2.2 * f["fine_u"] + jitter[z, 0]
        v = y + 11 * f["v"] + 2.2 * f["fine_v"] + jitter[z, 1]
        index, to_border = _partition(cells, z, u, v)
        # A membrane that is oblique to the section appears wide and faint.
        width = 2.75 + 2.2 * np.clip(f["oblique"] - 0.5, 0, 1.2)
        grown = np.where(to_border < width, 0, index + 1)
        labels[z] = grown * classes_from_instances(grown)  # no two cells touch, corners included
        inside = to_border - width
        clutter = 45 * np.clip(f["crowd"], 0, 1) * np.exp(-((f["tubule"] / 0.09) ** 2)) * (inside > 3)
        _draw_vesicles(rng, clutter, inside, f["crowd"])
        _draw_mitochondria(clutter, mitochondria=mitochondria, cells=cells, z=z, inside=inside, index=index, u=u, v=v)
        depth = np.clip(92 + 28 * f["contrast"], 20, 125) * (2.75 / width) ** 0.7
        membrane = depth * np.exp(-((to_border / (0.8 * width)) ** 2))
        synapse = 70 * np.clip(f["synapse"] - 1.0, 0, 0.8) * np.exp(-((to_border / 9) ** 2))
        grey = 152 + cells.grey[index].astype(np.float32) + 10 * f["texture"] + 18 * f["stain"] + 14 * f["light"]
        clean = grey - np.maximum(membrane, clutter) - synapse
        clean = clean * rng.normal(1, 0.04) + rng.normal(0, 7)
        shot = np.sqrt(np.clip(clean, 20, None)) * rng.standard_normal(clean.shape, dtype=np.float32)
        blurred = cv2.GaussianBlur(clean + 3.7 * shot, (0, 0), 1.0)
        images[z] = np.clip(np.rint(blurred + 0.25 * shot), 0, 255).astype(np.uint8)
    return images[:, :size_px, :size_px], labels[:, :size_px, :size_px]
