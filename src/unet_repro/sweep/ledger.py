"""Which runs belong to which comparison, on disk. Imports nothing that is slow: status and uploads read it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unet_repro.errors import RunError
from unet_repro.files import locked
from unet_repro.runs.folder import write_atomically


@dataclass(frozen=True)
class Entry:
    """One run as a part of one comparison.

    Attributes:
        experiment: Name of the comparison, ``single`` outside one.
        arm: Name of the arm.
        seed: The run's seed.
        scale: ``smoke``, ``cpu`` or ``paper``.
        data: Name of the source.
        variant: Overrides that the user added, for people to read.
        run_id: The run's identity.
        overrides: What it is composed from.
        cost: Input pixels times steps; for estimates of time left.
        comparison: Hash of what all its arms and seeds share: the base configuration's numbers and the data's content.
            Only runs with the same one stand in one table.
        speed_class: Hash of what decides how long a pixel takes: network, precision, device. Empty in ledgers of
            earlier versions.
        evaluations: What is measured on it once it is trained.
        tuning_trials: Trainings that chose its arm's settings; 0 for settings that nobody searched.
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
        """What makes it one cell of a comparison's table."""
        return self.comparison, self.arm, self.seed


def unique(entries: Iterable[Entry]) -> list[Entry]:
    """The first entry of each identity: a run shared by several comparisons is trained once."""
    first: dict[str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.run_id, entry)
    return list(first.values())


def _tuples(row: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """JSON knows lists alone; earlier versions wrote no evaluations."""
    return {name: tuple(row.get(name, ())) for name in ("overrides", "evaluations")}


class Ledger:
    """Which runs belong to which comparison: ``<runs_dir>/ledger/<experiment>.json``."""

    def __init__(self, runs_dir: Path) -> None:
        self.folder = runs_dir / "ledger"

    def record(self, entries: Iterable[Entry]) -> None:
        """Adds entries, in the place of older ones of the same cell.

        Raises:
            RunError: If the ledger cannot be read or written.
        """
        by_experiment: dict[str, list[Entry]] = {}
        for entry in entries:
            by_experiment.setdefault(entry.experiment, []).append(entry)
        # Two sweeps that begin at once each add their runs to the other's.
        with locked(
            self.folder / ".lock",
            failure=f"cannot write to {self.folder}",
            hint="choose a runs_dir that you may write to",
        ):
            for experiment, new in by_experiment.items():
                cells = {entry.key: entry for entry in [*self.read(experiment), *new]}
                text = json.dumps([asdict(entry) for entry in cells.values()], indent=1)
                write_atomically(self.folder / f"{experiment}.json", text)

    def experiments(self) -> list[str]:
        """Names of all comparisons that have runs."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def read(self, experiment: str) -> list[Entry]:
        """Entries of one comparison, in the order in which they were planned.

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
