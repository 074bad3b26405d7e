"""The published record: ``experiments/record/<scale>/`` with every kept run as data, and the pictures of the page."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unet_repro.conf_files import conf_dir
from unet_repro.errors import DataError, RunError
from unet_repro.files import locked, sha256, write_atomically
from unet_repro.runs.ledger import Entry
from unet_repro.trial.run_record import RunRecord, read_records, write_records

_ORDER = ("paper", "laptop", "cpu", "smoke")  # the most telling first


@dataclass(frozen=True)
class RecordOfScale:
    """The record of one scale.

    Attributes:
        folder: ``<record>/<scale>``; created when something is added.
    """

    folder: Path

    @property
    def runs_file(self) -> Path:
        """One JSON object per line, compressed."""
        return self.folder / "runs.jsonl.gz"

    @property
    def pictures_file(self) -> Path:
        """The gallery's crops and the weight maps, as the page shows them."""
        return self.folder / "pictures.json"

    def records(self) -> list[RunRecord]:
        """The kept runs, ordered by seed and id; empty if there are none.

        Raises:
            RunError: If the file is damaged.
        """
        return read_records(self.runs_file) if self.runs_file.exists() else []

    def pictures(self) -> dict[str, Any]:
        """``gallery`` and ``weight_maps`` of the page; empty if none are kept.

        Raises:
            RunError: If the file is damaged.
        """
        if not self.pictures_file.exists():
            return {}
        try:
            return dict(json.loads(self.pictures_file.read_text()))
        except ValueError as error:
            raise RunError(f"{self.pictures_file} is damaged", hint="restore it from version control") from error

    def add(self, new: Iterable[RunRecord]) -> tuple[int, list[str]]:
        """Adds runs that have ended.

        A kept run never changes, except that it may join further comparisons, and gain the sections of its evaluation
        that these ask for, if they were measured with the same weights.

        Returns:
            The number of runs that were not there, and a note for each cell (comparison, arm, seed) that is not filled
            because another run has filled it before.

        Raises:
            DataError: If runs are of another data set than the kept ones.
            RunError: If the record cannot be read or written.
        """
        new = list(new)
        with locked(self.folder / ".lock", hint="choose a writable folder"):
            for data in sorted({record.data for record in new}):
                self.check_data(data)
            before = self._by_id
            after, notes = _merged(before, new)
            if after != before:
                write_records(self.runs_file, after.values())
        return len(after) - len(before), notes

    def lacking(self, entries: Iterable[Entry]) -> list[Entry]:
        """Entries of the ledger whose runs are not kept, or lack an evaluation that their comparison asks for.

        Raises:
            RunError: If the record cannot be read.
        """
        kept = self._by_id
        return [entry for entry in entries if not _measures(kept.get(entry.run_id), entry)]

    def join(self, entries: Iterable[Entry]) -> None:
        """Lets kept runs count in further comparisons, of which they are arms too.

        Args:
            entries: Of the ledger; those of runs that are not kept are left out.

        Raises:
            RunError: If the record cannot be read or written.
        """
        kept = self._by_id
        self.add(
            replace(kept[entry.run_id], arms={entry.experiment: entry.arm})
            for entry in entries
            if _measures(kept.get(entry.run_id), entry)
        )

    @property
    def _by_id(self) -> dict[str, RunRecord]:
        return {record.run_id: record for record in self.records()}

    def check_data(self, data: str) -> None:
        """Checks that runs on this data set may be added: a record has one data set.

        Raises:
            DataError: If the kept runs are of another.
        """
        for other in sorted({record.data for record in self.records()} - {data}):
            raise DataError(
                f"{self.runs_file} has runs on {other}: those on {data} cannot be added", hint=f"use data={other}"
            )

    def keep_pictures(self, pictures: Mapping[str, Any]) -> None:
        """Writes the pictures.

        Raises:
            RunError: If they cannot be written.
        """
        write_atomically(self.pictures_file, json.dumps(pictures, sort_keys=True, separators=(",", ":")))


def _measures(record: RunRecord | None, entry: Entry) -> bool:
    """Whether a record has what the comparison of an entry asks for; a failed run counts as it is."""
    if record is None:
        return False
    return record.failed is not None or set(entry.evaluations) <= set((record.evaluation or {}).get("sections", ()))


def _merged(before: Mapping[str, RunRecord], new: Iterable[RunRecord]) -> tuple[dict[str, RunRecord], list[str]]:
    kept = dict(before)
    cells = {cell: record.run_id for record in kept.values() for cell in _cells(record)}
    notes = []
    for record in new:
        free = {}
        for experiment, arm, seed in _cells(record):
            first = cells.setdefault((experiment, arm, seed), record.run_id)
            if first == record.run_id:
                free[experiment] = arm
            else:
                notes.append(f"{record.run_id} does not count as {experiment}, {arm}, seed {seed}: {first} was first")
        if (known := kept.get(record.run_id)) is not None:
            kept[record.run_id] = replace(_extended(known, record), arms={**known.arms, **free})
        elif free:
            kept[record.run_id] = replace(record, arms=free)
    return kept, notes


def _extended(known: RunRecord, record: RunRecord) -> RunRecord:
    """The known run with the sections of its evaluation that only the other record of it has."""
    if known.evaluation is None or record.evaluation is None or known.weights_sha256 != record.weights_sha256:
        return known
    if set(record.evaluation["sections"]) <= set(known.evaluation["sections"]):
        return known
    filled = {**_filled(known.evaluation, record.evaluation), "sections": record.evaluation["sections"]}
    return replace(known, evaluation=filled)


def _filled(known: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """All keys of two nested dictionaries; where both have a value, that of the first."""
    both = {key: _filled(value, more[key]) for key, value in known.items() if isinstance(value, dict) and key in more}
    return {**more, **known, **both}


def _cells(record: RunRecord) -> list[tuple[str, str, int]]:
    return [(experiment, arm, record.seed) for experiment, arm in record.arms.items()]


def published_record() -> Path:
    """The folder of the published record: of this checkout."""
    return conf_dir().parent / "experiments" / "record"


def scales_of(record: Path) -> list[str]:
    """The scales that have kept runs, the most telling first."""
    found = [path.parent.name for path in record.glob("*/runs.jsonl.gz")]
    return sorted(found, key=lambda scale: (_ORDER.index(scale) if scale in _ORDER else len(_ORDER), scale))


def digest(records: Sequence[RunRecord]) -> str:
    """Twelve hexadecimal digits that identify the content of a record."""
    return sha256("\n".join(record.to_line() for record in records))[:12]
