"""From a source to batches: normalised arrays, weight maps, and tiles drawn as a function of (seed, step, index)."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from unet_repro.data.appearance import Appearance
from unet_repro.data.augment.augment import Augment
from unet_repro.data.labels import IGNORED, class_counts, classes_of
from unet_repro.data.normalise import Normalisation
from unet_repro.data.resample import reduce_image, reduce_labels, sizes_at
from unet_repro.data.sample import Sample, evenly
from unet_repro.data.splits import Split
from unet_repro.data.targets import Border, Distance, Target
from unet_repro.data.tiles import Tiles, draw_center, draw_known
from unet_repro.data.weight_cache import cached
from unet_repro.data.weight_maps import WeightMap
from unet_repro.errors import ConfigError, DataError
from unet_repro.geometry import Depth, output_size

Pixels = npt.NDArray[np.float32]
TrainBatch = tuple[Tensor, Tensor, Tensor]
PREFETCH = 2  # batches that a loader process keeps ready
MOST_LOOKED_AT = 40  # training images whose appearance is recorded, evenly spaced
_SHARED = Path("/dev/shm")  # where they are stored on Linux


class TrainTiles(Dataset[TrainBatch]):
    """Training tiles by number; tile ``index`` of step ``step`` has the number ``step * tiles_per_step + index``.

    A tile depends only on the seed and its number: not on the process, the worker, or earlier draws. Images are drawn
    in shuffled rounds, so that each is seen equally often.

    Args:
        images: ``(C, H, W)`` float32, normalised.
        classes: ``(H, W)`` uint8; in images with ``labels.IGNORED`` tiles are centred on the other pixels.
        weights: ``(H, W)`` float32, or ``(2, H, W)`` with the distances of the target ``Distance``.
        augment: Draws and applies the augmentation of one tile.
        tile_size: Input size of a tile.
        output_size: Output size of a tile.
        tiles_per_step: Tiles of one step.
        num_steps: Steps of the whole training.
        seed: The run's seed.
    """

    def __init__(
        self,
        *,
        images: Sequence[Pixels],
        classes: Sequence[npt.NDArray[np.uint8]],
        weights: Sequence[Pixels],
        augment: Augment,
        tile_size: int,
        output_size: int,
        tiles_per_step: int,
        num_steps: int,
        seed: int,
    ) -> None:
        self.images, self.classes, self.weights = images, classes, weights
        self.known = [np.flatnonzero(one != IGNORED) if (one == IGNORED).any() else None for one in classes]
        self.augment = augment
        self.tile_size, self.output_size = tile_size, output_size
        self.num_tiles, self.seed = tiles_per_step * num_steps, seed

    def __len__(self) -> int:
        return self.num_tiles

    def __getitem__(self, number: int) -> TrainBatch:
        """Image ``(C, S, S)`` float32, classes ``(s, s)`` uint8, weights ``(s, s)`` or ``(2, s, s)`` float32."""
        epoch, position = divmod(number, len(self.images))
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.images))
        chosen = int(order[position])
        rng = np.random.default_rng((self.seed, 2, number))
        (height, width), known = self.classes[chosen].shape, self.known[chosen]
        image, classes, weights = self.augment(
            self.images[chosen],
            self.classes[chosen],
            self.weights[chosen],
            center_yx=draw_center(rng, height, width) if known is None else draw_known(rng, known, width),
            tile_size=self.tile_size,
            output_size=self.output_size,
            seed=int(rng.integers(2**32)),
        )
        return torch.from_numpy(image), torch.from_numpy(classes), torch.from_numpy(weights)


class From(Sampler[int]):
    """Numbers of the tiles from ``step`` on, so that a resumed training continues with the next tiles.

    It has no length on purpose: Lightning would take the remaining batches for a complete epoch, and restart that epoch
    after a resume.

    Args:
        step: The first step.
        num_tiles: Tiles of the whole training.
        tiles_per_step: Tiles of one step, over all devices.
        rank: Rank of this device; each device takes its block of a step's tiles.
        num_devices: Number of devices.
    """

    def __init__(self, step: int, num_tiles: int, tiles_per_step: int, *, rank: int = 0, num_devices: int = 1) -> None:
        share = tiles_per_step // num_devices
        self.share = share
        self.firsts = range(step * tiles_per_step + rank * share, num_tiles, tiles_per_step)

    def __iter__(self) -> Iterator[int]:
        return (first + index for first in self.firsts for index in range(self.share))


class WholeImage(NamedTuple):
    """A normalised image ``(C, H, W)`` float32 with its classes ``(H, W)`` uint8, for validation and tests."""

    key: str
    image: Pixels
    classes: npt.NDArray[np.uint8]


class WholeImages(Dataset[WholeImage]):
    """Complete labelled images, without augmentation."""

    def __init__(self, samples: Sequence[Sample], normalisation: Normalisation) -> None:
        self.items = [
            WholeImage(s.key, normalisation.apply(s.image), classes_of(s.labels, s.classes))
            for s in samples
            if s.labels is not None
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> WholeImage:
        return self.items[index]


class TileData(LightningDataModule):
    """Training tiles and whole validation images of a split source.

    Args:
        samples: All samples of the source.
        split: The samples of each part.
        class_names: Names of the K classes.
        tiles: Size and budget of a step's tiles.
        depth: Max-pools of the network, or its geometry; determines the legal sizes.
        augment: Augmentation of one tile.
        weight_map: Labels to weights.
        max_steps: Steps of the whole training.
        seed: The run's seed.
        num_workers: Loader processes; any number gives the same batches.
        max_val_images: Number of images to validate on, from the first; ``None`` for all.
        threshold_images: Number of training images, evenly spaced, that are also predicted whole at each validation, to
            choose a threshold on them; 0 for none.
        batches_per_step: Batches of the tile budget whose gradients are accumulated in a step.
        target: What the network predicts beside the K classes.
        scale: Working resolution of the training tiles as a share of the images'; ``None``: the images' own. Whole
            images keep their own.

    Raises:
        GeometryError: If the tile size is not legal, or larger than the smallest mirrored training image.
    """

    def __init__(
        self,
        *,
        samples: Sequence[Sample],
        split: Split,
        class_names: Sequence[str],
        tiles: Tiles,
        depth: Depth,
        augment: Augment,
        weight_map: WeightMap,
        max_steps: int,
        seed: int,
        num_workers: int = 0,
        max_val_images: int | None = None,
        threshold_images: int = 0,
        batches_per_step: int = 1,
        target: Target | None = None,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        by_key = {sample.key: sample for sample in samples}
        self.samples = {part: [by_key[key] for key in getattr(split, part)] for part in ("train", "val", "test")}
        self.samples["val"] = self.samples["val"][:max_val_images]
        self.threshold_samples = evenly(self.samples["train"], threshold_images)
        self.class_names = tuple(class_names)
        self.tiles, self.batch = tiles, tiles.batch(depth)
        self.output_size = output_size(tiles.size, depth)
        self.augment, self.weight_map = augment, weight_map
        self.target, self.scale = target, scale
        self.max_steps, self.batches_per_step = max_steps, batches_per_step
        self.seed, self.num_workers = seed, num_workers
        check_fits(tiles, self.samples["train"], scale, depth)
        self.normalisation = Normalisation.of([sample.image for sample in self.samples["train"]])
        self.in_channels = len(self.normalisation.mean)
        self.train_tiles: TrainTiles | None = None

    def appearance(self) -> Appearance:
        """What the training images look like, of up to ``MOST_LOOKED_AT`` of them."""
        train = self.samples["train"]
        some = train[:: -(-len(train) // MOST_LOOKED_AT)]
        return Appearance.of(self.normalisation.apply(sample.image) for sample in some)

    def setup(self, stage: str) -> None:
        """Normalises the images, and computes the weight maps or reads them from the cache, once.

        Raises:
            ConfigError: If shared memory is too small for the batches of the loader processes.
        """
        if stage == "fit" and self.train_tiles is None:
            self._check_shared_memory()
            self.train_tiles = self._make_train_tiles()
            self.val_images = self.whole_images("val")
            self.threshold_images = WholeImages(self.threshold_samples, self.normalisation)

    def _make_train_tiles(self) -> TrainTiles:
        labelled = [
            (
                reduce_labels(one.labels, self.scale),
                None if one.classes is None else reduce_labels(one.classes, self.scale),
            )
            for one in self.samples["train"]
            if one.labels is not None
        ]
        num_classes = len(self.class_names)
        if isinstance(self.target, Border):
            labelled = [(instances, self.target.classes(instances, given)) for instances, given in labelled]
            num_classes += 1
        classes = [classes_of(instances, given) for instances, given in labelled]
        counts = np.mean([class_counts(each, num_classes) for each in classes], axis=0)
        weights = [cached(self.weight_map, instances, counts, classes=given) for instances, given in labelled]
        if isinstance(self.target, Border):
            weights = [self.target.weighted(*each) for each in zip(weights, classes, strict=True)]
        if isinstance(self.target, Distance):
            distances = [self.target.values(instances) for instances, _ in labelled]
            weights = [np.stack(each) for each in zip(weights, distances, strict=True)]
        return TrainTiles(
            images=[
                reduce_image(self.normalisation.apply(sample.image), self.scale) for sample in self.samples["train"]
            ],
            classes=classes,
            weights=weights,
            augment=self.augment,
            tile_size=self.tiles.size,
            output_size=self.output_size,
            tiles_per_step=self.batch.num_tiles,
            num_steps=self.max_steps * self.batches_per_step,
            seed=self.seed,
        )

    @property
    def ignores(self) -> bool:
        """Whether labelled images have ignored pixels."""
        samples = [*self.samples["train"], *self.samples["val"]]
        return any(sample.classes is not None and bool((sample.classes == IGNORED).any()) for sample in samples)

    def whole_images(self, part: str) -> WholeImages:
        """The labelled images of ``train``, ``val`` or ``test``, normalised with the training images' statistics.

        Raises:
            DataError: If the part has no images with labels.
        """
        images = WholeImages(self.samples[part], self.normalisation)
        if len(images) == 0:
            raise DataError(
                f"the {part} part has no labelled images",
                hint="use part=val; test images of your own and their labels belong in test/images and test/labels",
            )
        return images

    def blank_batch(self) -> TrainBatch:
        """This device's share of a step's tiles, blank."""
        number, size, output = self.batch.num_tiles // self._place()[1], self.tiles.size, self.output_size
        images, classes = torch.zeros(number, self.in_channels, size, size), torch.zeros(number, output, output)
        weights = torch.ones_like(classes)
        if isinstance(self.target, Distance):
            weights = torch.stack([weights, weights], 1)
        return images, classes.byte(), weights

    def _check_shared_memory(self) -> None:
        batch_bytes = sum(part.nbytes for part in self.blank_batch())
        needed = self.num_workers * PREFETCH * batch_bytes
        if needed and _SHARED.is_dir() and needed > (free := shutil.disk_usage(_SHARED).free):
            raise ConfigError(
                f"trainer.num_workers={self.num_workers} needs {needed / 1e6:,.0f} MB for batches in {_SHARED}, "
                f"which has {free / 1e6:,.0f} MB free",
                hint=f"use trainer.num_workers={free // (PREFETCH * batch_bytes)}, "
                "or start the container with a larger --shm-size",
            )

    def train_dataloader(self) -> DataLoader[TrainBatch]:
        """Batches from the trainer's current step on."""
        assert self.train_tiles is not None, "Lightning calls setup first"
        step = self.trainer.global_step * self.batches_per_step if self.trainer is not None else 0
        rank, num_devices = self._place()
        if self.num_workers:
            cv2.setNumThreads(1)  # ends OpenCV's threads: a loader process forked beside them hangs
        return DataLoader(
            self.train_tiles,
            batch_size=self.batch.num_tiles // num_devices,
            sampler=From(step, len(self.train_tiles), self.batch.num_tiles, rank=rank, num_devices=num_devices),
            num_workers=self.num_workers,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            prefetch_factor=PREFETCH if self.num_workers else None,
            worker_init_fn=_one_thread,
        )

    def val_dataloader(self) -> list[DataLoader[WholeImage]]:
        """Validation images one by one, and training images for the threshold, both divided among the devices."""
        rank, num_devices = self._place()
        return [
            DataLoader(images, batch_size=None, sampler=range(rank, len(images), num_devices), collate_fn=_as_is)
            for images in (self.val_images, self.threshold_images)
            if len(images)
        ]

    def _place(self) -> tuple[int, int]:
        """Rank of this device, and the number of devices of the run."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


def check_fits(tiles: Tiles, samples: Iterable[Sample], scale: float | None, depth: Depth) -> None:
    """Checks that every image is large enough for the tiles; see ``Tiles.check_fits``.

    Raises:
        GeometryError: If one is not.
    """
    for sample in samples:
        height, width = sizes_at(sample.image.shape[-2:], scale).working_hw
        tiles.check_fits(height, width, sample.key, depth)


def _one_thread(_: int) -> None:
    """Limits OpenCV to one thread in a loader process, as torch limits itself."""
    cv2.setNumThreads(1)


def _as_is(item: Any) -> Any:
    return item
