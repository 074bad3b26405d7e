"""The ledger: which runs belong to which comparison. Imports nothing slow, since status and uploads read it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unet_repro.errors import RunError
from unet_repro.files import locked, write_atomically


@dataclass(frozen=True)
class Entry:
    """One run as part of one comparison.

    Attributes:
        experiment: Name of the comparison; ``single`` for a run without one.
        arm: Name of the arm.
        seed: The run's seed.
        scale: ``smoke``, ``cpu`` or ``paper``.
        data: Name of the source.
        variant: Overrides that the user added, for display.
        run_id: The run's identity.
        overrides: The overrides that its configuration is composed from.
        cost: Input pixels times steps, for estimates of the time left.
        comparison: Hash of what all arms and seeds share: the base configuration's numbers and the data's content. Only
            runs with the same hash are in one table.
        speed_class: Hash of what determines the time per pixel: network, precision, device. Empty in ledgers of
            earlier versions.
        evaluations: Evaluations to run after its training.
        tuning_trials: Number of trials that chose its arm's settings; 0 without a search.
    """

    experiment: str
    arm: str
    seed: int
    scale: str
    data: str
    variant: str
    run_id: str
    overrides: tuple[str, ...]
    cost: float
    comparison: str
    speed_class: str = ""
    evaluations: tuple[str, ...] = ()
    tuning_trials: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """Identifies its cell in the comparison's table."""
        return self.comparison, self.arm, self.seed

    @property
    def conditions(self) -> tuple[str, str, str]:
        """Data, scale and variant."""
        return self.data, self.scale, self.variant


def unique(entries: Iterable[Entry]) -> list[Entry]:
    """The first entry of each identity: a run shared by several comparisons is trained once."""
    first: dict[str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.run_id, entry)
    return list(first.values())


def _tuples(row: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Converts JSON lists to tuples; earlier versions wrote no evaluations."""
    return {name: tuple(row.get(name, ())) for name in ("overrides", "evaluations")}


class Ledger:
    """Which runs belong to which comparison: ``<runs_dir>/ledger/<experiment>.json``."""

    def __init__(self, runs_dir: Path) -> None:
        self.folder = runs_dir / "ledger"

    def record(self, entries: Iterable[Entry]) -> None:
        """Adds entries, replacing older ones of the same cell.

        Raises:
            RunError: If the ledger cannot be read or written.
        """
        by_experiment: dict[str, list[Entry]] = {}
        for entry in entries:
            by_experiment.setdefault(entry.experiment, []).append(entry)
        # Locked, so that two sweeps started at the same time do not overwrite each other's entries.
        with locked(self.folder / ".lock", hint="choose a writable runs_dir"):
            for experiment, new in by_experiment.items():
                cells = {entry.key: entry for entry in [*self.read(experiment), *new]}
                text = json.dumps([asdict(entry) for entry in cells.values()], indent=1)
                write_atomically(self.folder / f"{experiment}.json", text)

    def experiments(self) -> list[str]:
        """Names of all comparisons that have runs."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def read(self, experiment: str) -> list[Entry]:
        """Entries of one comparison, in planned order.

        Raises:
            RunError: If the file is damaged.
        """
        path = self.folder / f"{experiment}.json"
        if not path.exists():
            return []
        try:
            return [Entry(**{**row, **_tuples(row)}) for row in json.loads(path.read_text())]
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(f"{path} is damaged", hint="remove it and start the sweep again; runs are kept") from error

    def newest(self, experiment: str) -> list[Entry]:
        """Entries as of ``read``, of each data, scale and variant those of the newest comparison only."""
        entries = self.read(experiment)
        newest = {entry.conditions: entry.comparison for entry in entries}
        return [entry for entry in entries if entry.comparison == newest[entry.conditions]]

    def entries(self, experiments: Sequence[str] = ()) -> list[Entry]:
        """Entries of the named comparisons, or of all.

        Raises:
            RunError: If one of them has none, or a file is damaged.
        """
        found = []
        for experiment in experiments or self.experiments():
            entries = self.read(experiment)
            if not entries:
                raise RunError(
                    f"there are no runs of {experiment!r} in {self.folder.parent}",
                    hint=f"train some first; known comparisons: {', '.join(self.experiments()) or 'none'}",
                )
            found += entries
        return found
