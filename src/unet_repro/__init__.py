"""An exact reproduction of the 2015 U-Net, with statistical tests of its claims.

The names in ``__all__`` are the public interface for Python (``docs/how-to/python.md``). They are imported on first
use, so that ``import unet_repro`` takes a few milliseconds.

``train`` and ``predict`` are both submodules, the entry points of the command line, and functions of this interface.
Python binds an imported submodule to its name in the package, which would replace a function of that name; therefore
these two modules can be called: ``unet_repro.train(...)`` and ``import unet_repro.train`` work in any order.

>>> import unet_repro
>>> unet_repro.output_size(572)
388
"""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

# OpenMP threads spin while they wait and take the cores from other processes: a training beside one busy process became
# three times slower. With these settings they sleep after a short spin. They must be set before torch, or anything
# else that loads OpenMP (GNU's, Intel's or LLVM's), is imported; the user's own settings take precedence.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    os.environ.setdefault("KMP_BLOCKTIME", "1")  # milliseconds

if TYPE_CHECKING:
    __version__: str
    from unet_repro.data import weight_maps as weight_maps
    from unet_repro.data.augment.augment import Augment as Augment
    from unet_repro.data.augment.elastic import elastic_deformation as elastic_deformation
    from unet_repro.errors import UserError as UserError
    from unet_repro.geometry import covering as covering
    from unet_repro.geometry import halo as halo
    from unet_repro.geometry import is_legal as is_legal
    from unet_repro.geometry import nearest_legal as nearest_legal
    from unet_repro.geometry import output_size as output_size
    from unet_repro.inference.overlap_tile import plan_tiles as plan_tiles
    from unet_repro.inference.overlap_tile import predict as predict
    from unet_repro.inference.rotations import average_views as average_views
    from unet_repro.metrics.accumulated import DET as DET
    from unet_repro.metrics.accumulated import SEG as SEG
    from unet_repro.metrics.accumulated import ISBIMeasures as ISBIMeasures
    from unet_repro.metrics.cell_tracking import det as det
    from unet_repro.metrics.cell_tracking import det_counts as det_counts
    from unet_repro.metrics.cell_tracking import seg_scores as seg_scores
    from unet_repro.metrics.isbi import slice_measures as slice_measures
    from unet_repro.metrics.pixel import PixelMeasures as PixelMeasures
    from unet_repro.metrics.rand import rand_scores as rand_scores
    from unet_repro.metrics.thinning import thin_borders as thin_borders
    from unet_repro.metrics.warping import warping_error as warping_error
    from unet_repro.models.unet import UNet as UNet
    from unet_repro.public import samples as samples
    from unet_repro.public import train as train
    from unet_repro.runs.network import Network as Network
    from unet_repro.runs.package import load as load
    from unet_repro.tile_geometry import TileGeometry as TileGeometry

_HOMES = {  # module -> its public names
    "data": ("weight_maps",),
    "data.augment.augment": ("Augment",),
    "data.augment.elastic": ("elastic_deformation",),
    "errors": ("UserError",),
    "geometry": ("covering", "halo", "is_legal", "nearest_legal", "output_size"),
    "inference.overlap_tile": ("plan_tiles", "predict"),
    "inference.rotations": ("average_views",),
    "metrics.accumulated": ("DET", "SEG", "ISBIMeasures"),
    "metrics.cell_tracking": ("det", "det_counts", "seg_scores"),
    "metrics.isbi": ("slice_measures",),
    "metrics.pixel": ("PixelMeasures",),
    "metrics.rand": ("rand_scores",),
    "metrics.thinning": ("thin_borders",),
    "metrics.warping": ("warping_error",),
    "models.unet": ("UNet",),
    "public": ("samples", "train"),
    "runs.network": ("Network",),
    "runs.package": ("load",),
    "tile_geometry": ("TileGeometry",),
}
_PUBLIC = {name: f"unet_repro.{module}" for module, names in _HOMES.items() for name in names}
_CALLABLE_MODULES = ("train", "predict")

__all__ = [
    "DET",
    "SEG",
    "Augment",
    "ISBIMeasures",
    "Network",
    "PixelMeasures",
    "TileGeometry",
    "UNet",
    "UserError",
    "average_views",
    "covering",
    "det",
    "det_counts",
    "elastic_deformation",
    "halo",
    "is_legal",
    "load",
    "nearest_legal",
    "output_size",
    "plan_tiles",
    "predict",
    "rand_scores",
    "samples",
    "seg_scores",
    "slice_measures",
    "thin_borders",
    "train",
    "warping_error",
    "weight_maps",
]


def _public(name: str) -> Any:
    found = import_module(_PUBLIC[name])
    return import_module(f"{_PUBLIC[name]}.{name}") if name == "weight_maps" else getattr(found, name)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("unet_repro.version").VERSION
    if name in _CALLABLE_MODULES:
        return import_module(f"unet_repro.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'unet_repro' has no attribute {name!r}")
    value = globals()[name] = _public(name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallableModule(ModuleType):
    """A submodule that is also the public function of its name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _public(self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(ModuleType):
    """Makes submodules callable when Python binds them to the package."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CALLABLE_MODULES and type(value) is ModuleType:
            value.__class__ = _CallableModule
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
