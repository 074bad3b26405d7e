"""Two-dimensional data sets of the Cell Tracking Challenge: two sequences, gold truth on some frames, silver on all.

Maska et al. 2023, 10.1038/s41592-023-01879-y. Gold: drawn by experts. Silver: fused from the challenge's best entries.
"""

import re
from pathlib import Path
from typing import Literal

from unet_repro.data.labels import Labels
from unet_repro.data.read import read_image, read_labels
from unet_repro.data.sample import Sample
from unet_repro.data.sources.registry import locate
from unet_repro.errors import DataError

Name = Literal["DIC-C2DH-HeLa", "PhC-C2DH-U373"]
Masks = Literal["gold", "silver"]

_SEQUENCES = ("01", "02")
_TRUTH_FOLDER: dict[str, str] = {"gold": "GT", "silver": "ST"}


def frames_in(folder: Path, prefix: str) -> dict[int, Path]:
    """Finds the files ``<prefix><number>.tif``, in order of their number.

    Raises:
        DataError: If the folder is missing or contains no such file.
    """
    matches = ((re.fullmatch(rf"{prefix}(\d+)\.tif", path.name), path) for path in folder.glob(f"{prefix}*.tif"))
    frames = {int(match[1]): path for match, path in matches if match}
    if not frames:
        raise DataError(f"no file {prefix}NNN.tif in {folder}", hint="run `unet-repro fetch` for this data set")
    return dict(sorted(frames.items()))


class CellTracking:
    """Source of one training set of the Cell Tracking Challenge.

    Args:
        name: Name of the data set.
        root: The folder that contains ``01``, ``01_GT`` and the rest; ``None`` searches with ``locate``.
        masks: Kind of truth; frames without gold truth have labels ``None``.
    """

    class_names = ("background", "cell")
    numbers_objects = True

    def __init__(self, *, name: Name, root: str | Path | None = None, masks: Masks = "silver") -> None:
        if masks not in _TRUTH_FOLDER:
            raise DataError(f"unknown masks {masks!r}", hint=f"use one of {', '.join(_TRUTH_FOLDER)}")
        self.name: str = name
        self.root = locate(name) if root is None else Path(root)
        self.masks = masks

    def samples(self) -> list[Sample]:
        """Reads both sequences, ``01/t000`` onwards.

        Raises:
            DataError: If frames or silver masks are missing, unreadable, or of different sizes.
        """
        return [sample for sequence in _SEQUENCES for sample in self._sequence(sequence)]

    def gold(self) -> dict[str, Labels]:
        """The expert masks by sample key, on which the challenge measures SEG.

        Raises:
            DataError: If they are missing or unreadable.
        """
        return self._truths("SEG", "man_seg")

    def markers(self) -> dict[str, Labels]:
        """One marker per cell on every frame, by sample key, on which the challenge measures DET.

        Raises:
            DataError: If they are missing or unreadable.
        """
        return self._truths("TRA", "man_track")

    def _truths(self, folder: str, prefix: str) -> dict[str, Labels]:
        return {
            f"{sequence}/t{index:03d}": read_labels(path)
            for sequence in _SEQUENCES
            for index, path in frames_in(self.root / f"{sequence}_GT" / folder, prefix).items()
        }

    def _sequence(self, sequence: str) -> list[Sample]:
        folder, truth_folder = self.root / sequence, self.root / f"{sequence}_{_TRUTH_FOLDER[self.masks]}" / "SEG"
        images, truths = frames_in(folder, "t"), frames_in(truth_folder, "man_seg")
        wanted = range(max(images) + 1)
        gaps = [folder / f"t{i:03d}.tif" for i in wanted if i not in images]
        # Gold truth exists for a few frames only; silver exists for all, so a missing silver mask is an error.
        gaps += [truth_folder / f"man_seg{i:03d}.tif" for i in wanted if i not in truths and self.masks == "silver"]
        gaps += [folder / f"t{i:03d}.tif" for i in truths if i not in wanted]
        if gaps:
            raise DataError(
                f"{len(gaps)} files of {self.name} are missing: {', '.join(map(str, gaps[:5]))}",
                hint=f"move {self.root} away and run `unet-repro fetch {self.name}`",
            )
        return [self._sample(sequence, path, truths.get(i)) for i, path in images.items()]

    def _sample(self, sequence: str, path: Path, truth: Path | None) -> Sample:
        image = read_image(path)
        labels = None if truth is None else read_labels(truth)
        if labels is not None and labels.shape != image.shape:
            raise DataError(
                f"{path} is {image.shape}, its label {truth} is {labels.shape}; expected one size",
                hint=f"move {self.root} away and run `unet-repro fetch {self.name}`",
            )
        return Sample(key=f"{sequence}/{path.stem}", sequence=sequence, part="train", image=image, labels=labels)
