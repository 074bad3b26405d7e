"""What a sweep will train: every experiment's arms, seed by seed, each identity once."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import DictConfig

from unet_repro.config import TrainConfig, check, make
from unet_repro.errors import RunError
from unet_repro.files import sha256
from unet_repro.runs.folder import write_atomically
from unet_repro.runs.identity import PLACEMENT, numbers_of
from unet_repro.train import read_data, run_folder

Compose = Callable[[list[str]], DictConfig]
# Overrides that need no words in a table: it has columns for them, or they change no numbers.
_UNSPOKEN = {"experiment", "seed", "scale", "data", "trainer", "runs_dir", *(f"trainer.{name}" for name in PLACEMENT)}
_UNSPOKEN_GROUPS = {"hydra", "logger"}


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

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it one cell of a comparison's table."""
        return self.comparison, self.arm, self.seed


def plan(compose: Compose, combinations: Iterable[Sequence[str]]) -> list[Entry]:
    """Expands combinations of overrides by the arms of their experiments, seed by seed.

    Everything is composed, checked and identified here, before any run starts.

    Args:
        compose: Overrides to configuration.
        combinations: Overrides of single values, one list for each point of the user's sweep.

    Returns:
        Entries ordered by seed, then as given.

    Raises:
        UserError: For a configuration or data that some run could not use.
    """
    entries: list[Entry] = []
    for combination in combinations:
        base = check(compose(list(combination)))
        arms = base.experiment.arms if base.experiment else {}
        if not arms:
            entries.append(_entry(base, base, "single", combination, combination))
        for arm, overrides in arms.items():
            full = [*combination, *overrides, f"arm={json.dumps(arm)}"]
            entries.append(_entry(base, check(compose(full)), arm, full, combination))
    return sorted(entries, key=lambda entry: entry.seed)


def _entry(base: TrainConfig, config: TrainConfig, arm: str, overrides: Sequence[str], given: Sequence[str]) -> Entry:
    shared = {**numbers_of(base), "seed": None, "data": read_data(base).manifest["digest"]}
    return Entry(
        experiment=config.experiment.name if config.experiment else "single",
        arm=arm,
        seed=config.seed,
        scale=config.scale,
        data=read_data(config).name,
        variant=" ".join(override for override in given if not _is_unspoken(override)),
        run_id=run_folder(config).run_id,
        overrides=tuple(overrides),
        cost=float(make("tiles", config.tiles).batch(config.model["depth"]).input_pixels * config.trainer.max_steps),
        comparison=sha256(json.dumps(shared, sort_keys=True))[:12],
    )


def _is_unspoken(override: str) -> bool:
    key = override.lstrip("+~").split("=")[0]
    return key in _UNSPOKEN or key.replace("/", ".").split(".")[0] in _UNSPOKEN_GROUPS


def unique(entries: Iterable[Entry]) -> list[Entry]:
    """The first entry of each identity: a run shared by several comparisons is trained once."""
    first: dict[str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.run_id, entry)
    return list(first.values())


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
            return [Entry(**{**row, "overrides": tuple(row["overrides"])}) for row in json.loads(path.read_text())]
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(f"{path} is damaged", mend="remove it and start the sweep again; runs are kept") from error
