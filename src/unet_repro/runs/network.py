"""``network.json``: what a run needs, with a checkpoint, to predict without its training images.

Tensor names: C channels, H W image, K classes.
"""

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig
from torch import Tensor, nn

from unet_repro.config import TrainConfig, check, make
from unet_repro.data.appearance import Appearance
from unet_repro.data.normalise import Normalisation
from unet_repro.data.targets import head_of
from unet_repro.errors import DataError, RunError
from unet_repro.files import write_atomically
from unet_repro.heads import Head
from unet_repro.inference.rotations import Views, average_views
from unet_repro.inference.whole_image import predict_image
from unet_repro.models.protocol import tile_geometry
from unet_repro.runs.checkpoint import load_network
from unet_repro.runs.folder import RunFolder, open_run
from unet_repro.tile_geometry import TileGeometry

Checkpoint = Literal["best", "last"]


@dataclass(frozen=True)
class Network:
    """A trained network with the properties of its images.

    Attributes:
        folder: The run's folder.
        config: The run's settings.
        net: The network, on the CPU, in float32 and evaluation mode; ``network.net.to("cuda")`` moves it.
        normalisation: Statistics of its training images.
        class_names: Names of class 0, 1, ...
        head: How its outputs are read.
        numbers_objects: Whether its labels number objects.
        appearance: What its training images look like; ``None`` for runs from before this was recorded.
    """

    folder: RunFolder
    config: TrainConfig
    net: nn.Module
    normalisation: Normalisation
    class_names: tuple[str, ...]
    head: Head
    numbers_objects: bool = False
    appearance: Appearance | None = None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.folder.run_id

    @property
    def in_channels(self) -> int:
        """Channels of its images."""
        return len(self.normalisation.mean)

    @property
    def scale(self) -> float | None:
        """Its working resolution as a share of the images'; ``None``: the images' own."""
        return self.config.data_scale

    @property
    def data_name(self) -> str:
        """Name of the data set that it was trained on; ``unknown`` if the run has not finished."""
        described = self.folder.result() or json.loads(self.folder.network.read_text())
        return str(described.get("data", "unknown"))

    @functools.cached_property
    def geometry(self) -> TileGeometry:
        """Its legal tiles."""
        return tile_geometry(self.net)

    def predict(self, image: npt.ArrayLike, *, views: Views = 1) -> npt.NDArray[np.uint8]:
        """The most likely class of every pixel; see ``predict_proba``.

        Returns:
            Class indices ``(H, W)`` uint8; their names are ``class_names``.
        """
        return np.asarray(self.predict_proba(image, views=views).argmax(0), np.uint8)

    def predict_proba(self, image: npt.ArrayLike, *, views: Views = 1) -> npt.NDArray[np.float32]:
        """Class probabilities of an image of any size, by overlap-tiles on the device of ``net``.

        Args:
            image: Grey values as stored, ``(H, W)`` or ``(C, H, W)``; they are normalised like the training images.
            views: Averages over 1, 4, 7 or 8 rotated views, see ``unet_repro.average_views``.

        Returns:
            ``(K, H, W)`` float32, sums to 1 over K.

        Raises:
            ConfigError: If the number of views is not supported.
            DataError: If the image has another shape, other channels, or values that are not finite.
        """
        pixels = np.asarray(image)
        if pixels.ndim not in (2, 3) or 0 in pixels.shape:
            raise DataError(f"an image has shape {pixels.shape}", hint="pass one (H, W) or (C, H, W) image at a time")
        if not np.isfinite(pixels).all():
            raise DataError("the image contains NaN or infinite values", hint="replace them first")
        num_classes = self.head.num_classes
        mean_KHW = average_views(self.scores, self.normalisation.apply(pixels), views, num_classes)
        return mean_KHW[:num_classes].cpu().numpy()

    def scores(self, image_CHW: npt.NDArray[np.float32]) -> Tensor:
        """Class scores ``(K, H, W)`` of a normalised image; its seed map follows, if there is one (``Head.read``)."""
        return predict_image(self.net, image_CHW, self.geometry, head=self.head, scale=self.scale)


def describe_network(
    folder: RunFolder,
    normalisation: Normalisation,
    class_names: tuple[str, ...],
    *,
    numbers_objects: bool = False,
    appearance: Appearance | None = None,
    data: str | None = None,
) -> None:
    """Writes ``network.json``; for the arguments see ``Network``. ``data`` is the name of the data set, for a package.

    Raises:
        RunError: If it cannot be written.
    """
    described: dict[str, object] = {
        "mean": normalisation.mean,
        "std": normalisation.std,
        "class_names": class_names,
        "numbers_objects": numbers_objects,
    }
    if appearance is not None:
        described["appearance"] = asdict(appearance)
    if data is not None:
        described["data"] = data
    write_atomically(folder.network, json.dumps(described, indent=1))


def open_network(run: Path | str, checkpoint: Checkpoint = "best") -> Network:
    """Opens a run's network with the weights of a checkpoint; its training data are not needed.

    Args:
        run: The run's folder, such as ``runs/<run_id>``.
        checkpoint: The weights at the best mean IoU on validation, or the last ones.

    Raises:
        RunError: If the folder is not a run, or ``network.json`` or the checkpoint is missing or damaged.
        TrainingError: If the checkpoint is of another architecture than in ``config.yaml``.
    """
    folder = open_run(Path(run))
    try:
        composed = DictConfig(folder.settings())
    except (ValueError, TypeError) as error:
        raise RunError(f"{folder.config} is damaged", hint="restore it, or train the run again") from error
    config = check(composed)
    if not folder.network.exists():
        raise RunError(
            f"{folder.network} is missing: the run was trained before such files were written",
            hint=f"run `unet-repro evaluate run={run}` once on a machine with its training images to write the file",
        )
    try:
        described = json.loads(folder.network.read_text())
        normalisation = Normalisation(tuple(map(float, described["mean"])), tuple(map(float, described["std"])))
        class_names = tuple(map(str, described["class_names"]))
        numbers_objects = bool(described.get("numbers_objects", config.data.get("labels") == "instances"))
        appearance = _appearance(described.get("appearance"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{folder.network} is damaged",
            hint=f"remove it and run `unet-repro evaluate run={run}` on a machine with its training images",
        ) from error
    head = head_of(None if config.target is None else make("target", config.target), len(class_names))
    net = make("model", config.model, in_channels=len(normalisation.mean), num_classes=head.num_outputs)
    load_network(net, folder.best if checkpoint == "best" else folder.last)
    return Network(folder, config, net.eval(), normalisation, class_names, head, numbers_objects, appearance)


def _appearance(found: Any) -> Appearance | None:
    if found is None:
        return None
    low, high = (tuple(tuple(map(float, channel)) for channel in found[name]) for name in ("low", "high"))
    return Appearance(low, high)
