"""A cache of weight maps: a file's name is the hash of everything that the map depends on."""

import hashlib
import inspect
import io
import json
import logging
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pooch

from unet_repro.data import weight_maps
from unet_repro.data.labels import Labels
from unet_repro.data.weight_maps import Classes, Counts, WeightMap, Weights, class_balance, none
from unet_repro.files import replacing, sha256

_CACHE_VERSION = 1  # increase it whenever a map's numbers change, so that no stale file is used
_DIGEST_BYTES = hashlib.sha256().digest_size

_logger = logging.getLogger(__name__)


def cached(
    weight_map: WeightMap,
    instances: Labels,
    class_counts: Counts,
    *,
    classes: Classes | None = None,
    cache_dir: Path | None = None,
) -> Weights:
    """Computes a map, or reads it from the cache.

    A damaged file is recomputed; if the folder cannot be written, a warning is logged and the map is not cached. Maps
    that are faster to compute than to read, and functions of other modules, which may change, are always computed.

    Args:
        weight_map: A function, usually of ``weight_maps``, or a ``functools.partial`` of one.
        instances: ``(H, W)`` int32.
        class_counts: ``(K,)`` float64.
        classes: ``(H, W)`` uint8; ``None`` if they follow from the instances.
        cache_dir: Folder of the cache; the user's cache folder by default.

    Returns:
        ``(H, W)`` float32, equal to ``weight_map(instances, class_counts)``, with ``classes`` if given.

    Raises:
        DataError: Raised by the map itself.
    """
    given = {} if classes is None else {"classes": classes}
    bound = weight_map if isinstance(weight_map, partial) else partial(weight_map)
    if bound.func in (none, class_balance) or bound.func.__module__ != weight_maps.__name__:
        return weight_map(instances, class_counts, **given)
    folder = Path(pooch.os_cache("unet-repro")) / "weights" if cache_dir is None else cache_dir
    path = folder / f"{_key(bound, instances, class_counts, *given.values())}.npy"
    weights = _read(path)
    if weights is None:
        weights = weight_map(instances, class_counts, **given)
        try:
            _write(path, weights)
        except OSError as error:
            _logger.warning("weight map was not cached: %s cannot be written (%s)", path, error)
    return weights


def _key(bound: partial[Weights], *arrays: npt.NDArray[np.generic]) -> str:
    parameters = inspect.signature(bound.func).bind_partial(*bound.args, **bound.keywords)
    parameters.apply_defaults()  # an explicit default gives the same map
    name = f"{bound.func.__module__}.{bound.func.__qualname__}"
    head = json.dumps([_CACHE_VERSION, name, parameters.arguments], sort_keys=True, default=float)
    return sha256(head, *arrays)


def _read(path: Path) -> Weights | None:
    """The cached map, or ``None`` if it is missing or damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _logger.warning("weight map %s cannot be read and is recomputed (%s)", path, error)
        return None
    body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        _logger.warning("weight map %s is damaged and is recomputed", path)
        return None
    return np.asarray(np.load(io.BytesIO(body), allow_pickle=False), np.float32)


def _write(path: Path, weights: Weights) -> None:
    """Writes a .npy file followed by its digest, which readers of .npy ignore."""
    buffer = io.BytesIO()
    np.save(buffer, weights)
    body = buffer.getvalue()
    with replacing(path) as file:
        file.write(body + hashlib.sha256(body).digest())
