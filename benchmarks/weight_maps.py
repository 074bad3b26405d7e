"""Times every weight map against its textbook version: one distance transform of the image per cell, then a sort.

    python benchmarks/weight_maps.py [--size 512] [--cells 130] [--repeats 5]

Synthetic Voronoi cells with gaps of a few pixels, like an EM slice; scipy's transform, one thread.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from harness import Record, Row, in_turn, options
from scipy import ndimage
from scipy.spatial import cKDTree

from unet_repro.data import weight_maps
from unet_repro.data.labels import class_counts, classes_from_instances
from unet_repro.machine import use_machine

Array = npt.NDArray[np.generic]
W0, SIGMA_PX = 10.0, 5.0


def voronoi_labels(size: int, num_cells: int, seed: int = 0) -> npt.NDArray[np.int32]:
    """``(size, size)`` int32: cells around random centres, background where the two nearest are about equally far."""
    centres = np.random.default_rng(seed).uniform(0, size, (num_cells, 2))
    distances, nearest = cKDTree(centres).query(np.indices((size, size)).reshape(2, -1).T, k=2)
    labels = np.where(distances[:, 1] - distances[:, 0] > 5, nearest[:, 0] + 1, 0)
    return labels.reshape(size, size).astype(np.int32)


def brute_force(instances: npt.NDArray[np.int32]) -> tuple[Array, Array]:
    ids = [number for number in np.unique(instances) if number != 0]
    distances = np.sort([ndimage.distance_transform_edt(instances != number) for number in ids], axis=0)
    return distances[0], distances[1]


def border(nearest: Array, second: Array) -> Array:
    return W0 * np.exp(-((nearest + second) ** 2) / (2 * SIGMA_PX**2))


def main() -> None:
    asked = options(__doc__, size=512, cells=130, repeats=5)
    use_machine(1)

    instances = voronoi_labels(asked.size, asked.cells)
    background = classes_from_instances(instances) == 0
    counts = class_counts(classes_from_instances(instances))
    balance = weight_maps.class_balance(instances, counts).astype(np.float64)

    def reference_border_only() -> Array:
        return np.where(background, 1 / counts[0], 1 / counts[1]) + border(*brute_force(instances))

    def reference_paper() -> Array:
        return balance + background * border(*brute_force(instances))

    def reference_morphological() -> Array:
        seam = background & (brute_force(instances)[1] <= 5)
        distance = ndimage.distance_transform_edt(~seam)
        return balance + background * W0 * np.exp(-(distance**2) / (2 * SIGMA_PX**2))

    pairs: dict[str, tuple[weight_maps.WeightMap, Callable[[], Array] | None]] = {
        "none": (weight_maps.none, None),
        "class_balance": (weight_maps.class_balance, None),
        "border_only": (weight_maps.border_only, reference_border_only),
        "morphological": (weight_maps.morphological, reference_morphological),
        "paper": (weight_maps.paper, reference_paper),
    }
    num_cells = len(np.unique(instances)) - 1
    record = Record("weight_maps", f"Weight maps of {asked.size} x {asked.size} pixels with {num_cells} cells")
    for name, (weight_map, reference) in pairs.items():
        candidates = {"ours": lambda f=weight_map: f(instances, counts)}
        if reference is None:
            record.add(name, in_turn(candidates, rounds=asked.repeats)["ours"])
            continue
        times = in_turn({**candidates, "reference": reference}, rounds=asked.repeats)
        record.add(f"{name}, one transform per cell", times["reference"])
        faster = times["reference"].median / times["ours"].median
        record.add(name, times["ours"], ratio=faster, to="one transform per cell, times faster", goal=">= 50")
        difference = np.abs(weight_map(instances, counts) - reference()).max()
        record.rows.append(Row(f"{name}, largest difference", float(difference), ""))
    few = voronoi_labels(asked.size, asked.cells // 2)
    times = in_turn(
        {str(len(labels)): lambda labels=labels: weight_maps.paper(np.vstack(labels), counts)
         for labels in ([few], [few, few + few.max() * (few > 0)])},
        rounds=asked.repeats,
    )  # fmt: skip
    ratio = times["2"].median / times["1"].median
    record.add("paper, twice the image with twice the cells", times["2"], ratio=ratio, to="the half, its time")
    record.write()


if __name__ == "__main__":
    main()
