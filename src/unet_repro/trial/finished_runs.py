"""Finished runs as the trial reads them: settings, data, history and evaluations, from their folders."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from unet_repro.evaluation.evaluations import read_evaluation
from unet_repro.runs.folder import RunFolder
from unet_repro.sweep.ledger import Entry

Record = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished run as part of a comparison. Its files are read lazily.

    Attributes:
        entry: Its entry in the ledger.
        folder: Its folder.
        evaluations: Evaluations by name, if they are not read from the folder.
    """

    entry: Entry
    folder: RunFolder
    evaluations: dict[str, Record] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Arm and seed, for messages."""
        return f"{self.entry.arm}, seed {self.entry.seed}"

    @cached_property
    def config(self) -> Record:
        """Its settings."""
        return self.folder.settings()

    @cached_property
    def manifest(self) -> Record:
        """The samples of each part, and their hashes."""
        manifest: Record = json.loads(self.folder.manifest.read_text())
        return manifest

    @cached_property
    def outcome(self) -> Record:
        """Its result with its provenance."""
        return self.folder.outcome() or {}

    @cached_property
    def history(self) -> dict[str, list[float]]:
        """Columns of its history."""
        return self.folder.curves()

    def evaluation(self, name: str) -> Record | None:
        """One of its evaluations; ``None`` if it does not exist, or is from another version of the code."""
        if name not in self.evaluations and (record := read_evaluation(self.folder.path, name)) is not None:
            self.evaluations[name] = record
        return self.evaluations.get(name)


def finished(entries: Iterable[Entry], runs_dir: Path) -> dict[str, list[Run]]:
    """Finished runs by arm, in the order of the entries; includes arms without finished runs."""
    arms: dict[str, list[Run]] = {}
    for entry in entries:
        runs = arms.setdefault(entry.arm, [])
        folder = RunFolder(runs_dir / entry.run_id)
        if folder.result_file.exists():
            runs.append(Run(entry, folder))
    return arms
