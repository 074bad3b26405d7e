"""The synthetic data set: two EM-like stacks, generated from a seed and cached."""

import logging
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pooch

from unet_repro.data.sample import Part, Sample
from unet_repro.data.sources.neuropil import GENERATOR_VERSION, MIN_SIZE_PX, Stack, grow_stack
from unet_repro.errors import DataError
from unet_repro.files import replacing, sha256

PARTS: tuple[Part, ...] = ("train", "test")

logger = logging.getLogger(__name__)


class Synthetic:
    """Two labelled stacks, "train" and "test", generated independently from one seed.

    The bytes are a function of the arguments and of ``GENERATOR_VERSION``. On a CPU with another vector instruction set
    a few grey values in a million may differ by 1, since libraries round differently there. Both stacks are cached in
    one file named by the hash of these inputs. A damaged file is replaced; without a writable folder the stacks are
    generated each time.

    Args:
        seed: Not negative.
        num_slices: Slices of each stack.
        size_px: Height and width of a slice.
        cache_dir: Folder of the cache; ``None``: the user's cache folder.

    Raises:
        DataError: If an argument is out of range.
    """

    name = "synthetic"
    class_names: tuple[str, ...] = ("membrane", "cell")

    def __init__(
        self, *, seed: int = 0, num_slices: int = 30, size_px: int = 512, cache_dir: str | Path | None = None
    ) -> None:
        for key, value, least in (("seed", seed, 0), ("num_slices", num_slices, 1), ("size_px", size_px, MIN_SIZE_PX)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise DataError(
                    f"synthetic data: {key}={value!r} must be an integer of at least {least}",
                    hint=f"set data.{key} to {least} or more",
                )
        self.seed = seed
        self.num_slices = num_slices
        self.size_px = size_px
        self.cache_dir = (
            Path(pooch.os_cache("unet-repro")) / self.name if cache_dir is None else Path(cache_dir).expanduser()
        )

    @property
    def cache_file(self) -> Path:
        """The cache file for these parameters and this version of the generator."""
        identity = f"version={GENERATOR_VERSION} seed={self.seed} slices={self.num_slices} size={self.size_px}"
        return self.cache_dir / f"synthetic-{sha256(identity)[:16]}.npz"

    def samples(self) -> list[Sample]:
        """Both stacks in order, ``train/00`` onwards, then ``test/00`` onwards, from the cache if possible."""
        stacks = self._read()
        if stacks is None:
            stacks = {part: self._grow(stream) for stream, part in enumerate(PARTS)}
            self._write(stacks)
        digits = max(2, len(str(self.num_slices - 1)))
        return [
            Sample(key=f"{part}/{z:0{digits}d}", sequence=part, part=part, image=image, labels=labels)
            for part in PARTS
            for z, (image, labels) in enumerate(zip(*stacks[part], strict=True))
        ]

    def _grow(self, stream: int) -> Stack:
        return grow_stack(np.random.default_rng([self.seed, stream]), num_slices=self.num_slices, size_px=self.size_px)

    def _read(self) -> dict[Part, Stack] | None:
        """The cached stacks; ``None`` if the file is missing or damaged."""
        try:
            with self.cache_file.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                stacks: dict[Part, Stack] = {part: (file[f"{part}_images"], file[f"{part}_labels"]) for part in PARTS}
        except FileNotFoundError:
            return None
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            logger.info("cannot read %s (%s); regenerating the stacks", self.cache_file, error)
            return None
        shape = (self.num_slices, self.size_px, self.size_px)
        whole = all(images.shape == labels.shape == shape for images, labels in stacks.values())
        return stacks if whole else None

    def _write(self, stacks: dict[Part, Stack]) -> None:
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for part, (images, labels) in stacks.items():
            arrays |= {f"{part}_images": images, f"{part}_labels": labels}
        try:
            with replacing(self.cache_file) as file:
                np.savez(file, allow_pickle=False, **arrays)
        except OSError as error:
            logger.warning(
                "cannot cache the synthetic data in %s (%s); they will be regenerated next time", self.cache_dir, error
            )
