"""Reads an offline W&B run back from its .wandb file, without the code that wrote it.

The file is a 7-byte header (``:W&B``, two bytes, version) and then 32 KiB blocks as in a LevelDB log: each chunk has a
7-byte header (CRC-32C, length, kind), a record is one whole chunk or a first, middle ones and a last, and a block's
tail too short for a header is filled with zeros. Each record is one ``wandb_internal_pb2.Record``.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32 * 1024
HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What an offline run's file says.

    Attributes:
        folder: The run's folder.
        run: id, name, group, project, job type and tags.
        config: Nested.
        history: One row per ``log``, nested keys joined by a slash.
        summary: Latest values.
        metrics: name or glob -> (step metric, whether it is filled in by itself).
        exit_code: ``None`` where the run was never finished.
    """

    folder: Path
    run: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, tuple[str, bool]] = field(default_factory=dict)
    exit_code: int | None = None


def payloads(data: bytes) -> Iterator[bytes]:
    """Cuts the file into records; stops where a killed process stopped writing."""
    assert data[:4] == b":W&B"
    parts = b""
    at = 7  # the file's own header counts as part of the first block
    while at + HEADER.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER.size:
            at += left
            continue
        _, length, kind = HEADER.unpack_from(data, at)
        at += HEADER.size
        chunk = data[at : at + length]
        at += length
        assert kind in (FULL, FIRST, MIDDLE, LAST)
        parts = chunk if kind in (FULL, FIRST) else parts + chunk
        if kind in (FULL, LAST):
            yield parts


def read_run(directory: Path) -> OfflineRun:
    """Reads the only offline run below ``directory``."""
    (path,) = directory.glob("wandb/offline-run-*/run-*.wandb")
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
