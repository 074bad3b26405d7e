"""Reads an offline W&B run back from its .wandb file, without the code that wrote it.

The file is a 7-byte header (``:W&B``, two bytes, version) and then 32 KiB blocks as in a LevelDB log: each chunk has a
7-byte header (CRC-32 over kind and content, length, kind), a record is one whole chunk or a first, middle ones and a
last, and a block's tail too short for a header is filled with zeros. Each record is one ``wandb_internal_pb2.Record``.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 32 * 1024
HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What an offline run's file says.

    Attributes:
        folder: The run's folder.
        run: id, name, group, project, job type and tags; empty where not even they are there.
        config: Nested.
        history: One row per ``log``, nested keys joined by a slash.
        summary: Latest values.
        metrics: name or glob -> (step metric, whether it is filled in by itself).
        files: Paths of images below ``folder / "files"``.
        exit_code: ``None`` where the run was never finished, or the file ends before that. It is the last record.
    """

    folder: Path
    run: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, tuple[str, bool]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    exit_code: int | None = None


def payloads(data: bytes) -> Iterator[bytes]:
    """Cuts the file's content into records; stops at the first byte that is missing or damaged."""
    if data[:4] != b":W&B":
        return
    parts = b""
    at = 7  # the file's own header counts as part of the first block
    while at + HEADER.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER.size:
            at += left
            continue
        checksum, length, kind = HEADER.unpack_from(data, at)
        at += HEADER.size
        chunk = data[at : at + length]
        at += length
        if kind not in (FULL, FIRST, MIDDLE, LAST) or zlib.crc32(chunk, zlib.crc32(bytes([kind]))) != checksum:
            return
        parts = chunk if kind in (FULL, FIRST) else parts + chunk
        if kind in (FULL, LAST):
            yield parts


def offline_file(directory: Path) -> Path | None:
    """The file of the only offline run below ``directory``; ``None`` where there is none, or more than one."""
    found = list(directory.glob("wandb/offline-run-*/run-*.wandb"))
    return found[0] if len(found) == 1 else None


def read_run(path: Path) -> OfflineRun:
    """Reads a .wandb file, as far as it is whole."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined,unused-ignore]  # noqa: PLC0415

    result = OfflineRun(path.parent)
    for payload in payloads(path.read_bytes()):
        record = Record.FromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            _read_head(result, record.run)
        elif kind == "config":
            _update(result.config, record.config.update)
        elif kind == "history":
            result.history.append(_update({}, record.history.item))
        elif kind == "summary":
            _update(result.summary, record.summary.update)
        elif kind == "metric":
            metric = record.metric
            name = metric.name or metric.glob_name
            result.metrics[name] = (metric.step_metric, metric.options.step_sync)
        elif kind == "files":
            result.files |= {item.path for item in record.files.files}
        elif kind == "exit":
            result.exit_code = record.exit.exit_code
    return result


def _read_head(result: OfflineRun, run: Any) -> None:
    result.run = {
        "id": run.run_id,
        "name": run.display_name,
        "group": run.run_group,
        "project": run.project,
        "job_type": run.job_type,
        "tags": list(run.tags),
    }
    _update(result.config, run.config.update)


def _update(target: dict[str, Any], items: Any) -> dict[str, Any]:
    for item in items:
        *outer, last = item.nested_key or [item.key]
        inside = target
        for key in outer:
            inside = inside.setdefault(key, {})
        inside[last] = json.loads(item.value_json)
    return target
