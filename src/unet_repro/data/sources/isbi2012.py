"""The EM stack of the ISBI 2012 challenge: 30 training slices with truth, 30 test slices without.

Serial-section TEM of the Drosophila larva ventral nerve cord, 4x4x50 nm (Cardona et al. 2010,
10.1371/journal.pbio.1000502; Arganda-Carreras et al. 2015, 10.3389/fnana.2015.00142).
"""

from pathlib import Path

import numpy as np

from unet_repro.data.labels import Labels, instances_from_mask
from unet_repro.data.read import read_image, read_labels
from unet_repro.data.sample import Part, Sample
from unet_repro.data.sources.registry import locate
from unet_repro.errors import DataError

NUM_SLICES = 30  # in each of the two stacks, as published

_HINT = "run `unet-repro fetch isbi2012`"


class Isbi2012:
    """Source of the ISBI 2012 slices.

    Args:
        root: The folder that contains ``train/image`` and the rest; ``None`` searches with ``locate``.
    """

    name = "isbi2012"
    class_names = ("membrane", "cell")

    def __init__(self, *, root: str | Path | None = None) -> None:
        self.root = locate("isbi2012") if root is None else Path(root)

    def samples(self) -> list[Sample]:
        """Reads both stacks, ``train/00`` to ``test/29``.

        Raises:
            DataError: If slices are missing, unreadable, of another size than their label, or have labels other than
                0 and 255.
        """
        folders = [self.root / folder for folder in ("train/image", "train/label", "test/image")]
        wanted = [folder / f"{i}.png" for folder in folders for i in range(NUM_SLICES)]
        missing = [path for path in wanted if not path.is_file()]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(wanted)} files of isbi2012 are missing, the first is {missing[0]}", hint=_HINT
            )
        return [self._sample(part, i) for part in ("train", "test") for i in range(NUM_SLICES)]

    def _sample(self, part: Part, index: int) -> Sample:
        path = self.root / part / "image" / f"{index}.png"
        image = read_image(path)
        labels = self._labels(index) if part == "train" else None
        if image.ndim != 2 or (labels is not None and labels.shape != image.shape):
            raise DataError(
                f"{path} is {image.shape}, its label {None if labels is None else labels.shape}; expected one size, "
                "in grey",
                hint=_HINT,
            )
        return Sample(key=f"{part}/{index:02d}", sequence=part, part=part, image=image, labels=labels)

    def _labels(self, index: int) -> Labels:
        path = self.root / "train" / "label" / f"{index}.png"
        mask = read_labels(path)
        if not np.isin(mask, (0, 255)).all():
            raise DataError(
                f"{path} has values {np.unique(mask)[:5].tolist()} ..., expected 0 (membrane) and 255 (cell)",
                hint=_HINT,
            )
        return instances_from_mask(mask > 127)
