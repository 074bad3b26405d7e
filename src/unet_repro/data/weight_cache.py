"""Weight maps, computed once: a file's name is the hash of everything that its numbers depend on."""

import hashlib
import inspect
import io
import json
import logging
from functools import partial
from pathlib import Path

import numpy as np
import pooch

from unet_repro.data.labels import Labels
from unet_repro.data.weight_maps import Counts, WeightMap, Weights, class_balance, none
from unet_repro.files import replacing, sha256

_CACHE_VERSION = 1  # raise it whenever a map's numbers change, so that no stale file is found
_DIGEST_BYTES = hashlib.sha256().digest_size

_logger = logging.getLogger(__name__)


def cached(weight_map: WeightMap, instances: Labels, class_counts: Counts, *, cache_dir: Path | None = None) -> Weights:
    """Computes a map once and finds it again by the content of everything that it depends on.

    A file that is damaged is computed anew; a folder that cannot be written costs a logged warning and the time.
    Maps that are cheaper than a file, and functions that have no importable name, are always computed.

    Args:
        weight_map: A function of ``weight_maps``, or a ``functools.partial`` of one.
        instances: ``(H, W)`` int32.
        class_counts: ``(K,)`` float64.
        cache_dir: Where the files lie; the user's cache folder by default.

    Returns:
        ``(H, W)`` float32, equal to ``weight_map(instances, class_counts)``.

    Raises:
        DataError: Whatever the map itself raises.
    """
    bound = weight_map if isinstance(weight_map, partial) else partial(weight_map)
    if bound.func in (none, class_balance) or "<" in getattr(bound.func, "__qualname__", "<"):
        return weight_map(instances, class_counts)
    folder = Path(pooch.os_cache("unet-repro")) / "weights" if cache_dir is None else cache_dir
    path = folder / f"{_key(bound, instances, class_counts)}.npy"
    weights = _read(path)
    if weights is None:
        weights = weight_map(instances, class_counts)
        try:
            _write(path, weights)
        except OSError as error:
            _logger.warning("weight map computed but not kept: %s cannot be written (%s)", path, error)
    return weights


def _key(bound: partial[Weights], instances: Labels, class_counts: Counts) -> str:
    parameters = inspect.signature(bound.func).bind_partial(*bound.args, **bound.keywords)
    parameters.apply_defaults()  # a default that is spelt out is the same map
    name = f"{bound.func.__module__}.{bound.func.__qualname__}"
    head = json.dumps([_CACHE_VERSION, name, parameters.arguments], sort_keys=True, default=float)
    return sha256(head, instances, class_counts)


def _read(path: Path) -> Weights | None:
    """The stored map, or ``None`` where it is missing or not what was written."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _logger.warning("weight map %s cannot be read and is computed anew (%s)", path, error)
        return None
    body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        _logger.warning("weight map %s is damaged and is computed anew", path)
        return None
    return np.asarray(np.load(io.BytesIO(body), allow_pickle=False), np.float32)


def _write(path: Path, weights: Weights) -> None:
    """Writes a .npy file, its digest behind it: readers of .npy ignore that."""
    buffer = io.BytesIO()
    np.save(buffer, weights)
    body = buffer.getvalue()
    with replacing(path) as file:
        file.write(body + hashlib.sha256(body).digest())
