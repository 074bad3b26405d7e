"""A run of the record that has been trained again: is it the same?"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unet_repro.errors import DataError, RunError
from unet_repro.trial.run_record import RunRecord, rounded

# Of the IoU at the run's own threshold. Another processor rounds differently: curves are equal at first and then
# part like those of two seeds. Measured at the scale ``laptop``, Adam, AVX-512 against AVX2: 0.0002 at the first
# validation, 0.006 for the mean of the second half of the curve, at most 0.014 at any validation.
FIRST_TOLERANCE = 0.01  # at the first validation
MEAN_TOLERANCE = 0.03  # mean over the second half of the curve
SAME_MACHINE = ("instruction_set", "threads", "torch", "device")
COLUMN = "val/iou_own"


@dataclass(frozen=True)
class Rerun:
    """How a run that has been trained again compares with the record.

    Attributes:
        differs: Why the run need not be bit-identical: what the machines differ in, or a GPU; empty if it must be.
        is_identical: Whether the curves and the hash of the weights are equal.
        first: Difference of the IoU at the first validation.
        mean: Difference of the mean IoU over the second half of the curve.
    """

    differs: tuple[str, ...]
    is_identical: bool
    first: float
    mean: float

    @property
    def agrees(self) -> bool:
        """Whether the record is confirmed."""
        close = abs(self.first) <= FIRST_TOLERANCE and abs(self.mean) <= MEAN_TOLERANCE
        return self.is_identical or (bool(self.differs) and close)


def chosen(records: Sequence[RunRecord], *, seed: int, run_id: str | None = None) -> RunRecord:
    """The run to train again: the named one, or one chosen at random among those that have not failed.

    Raises:
        RunError: If there is none.
    """
    if run_id is not None:
        found = next((record for record in records if record.run_id == run_id), None)
        if found is None:
            raise RunError(f"the record has no run {run_id}", hint="its page lists its runs: docs/page/index.html")
        return found
    finished = [record for record in records if record.failed is None]
    if not finished:
        raise RunError("the record has no finished run", hint="add some: unet-repro report --add-to-record SCALE")
    return random.Random(seed).choice(finished)


def compared(
    record: RunRecord, curves: Mapping[str, Sequence[float]], weights_sha256: str, machine: Mapping[str, Any]
) -> Rerun:
    """Compares a run with the record.

    Args:
        record: The run in the record.
        curves: Columns of the new run's history.
        weights_sha256: Hash of its last weights.
        machine: Its ``instruction_set``, ``threads``, ``torch`` and ``device``.

    Raises:
        DataError: If the validations are not at the same steps.
    """
    steps = [int(step) for step in curves["step"]]
    if steps != list(record.curve["step"]):
        raise DataError(
            f"run {record.run_id} was validated at other steps than in the record", hint="use the record's version"
        )
    columns = [name for name in record.curve if name != "step"]
    same = all(rounded(list(curves[name])) == rounded(list(record.curve[name])) for name in columns)
    new, old = (np.asarray(curve[COLUMN], float) for curve in (curves, record.curve))
    half = len(steps) // 2
    differs = [
        f"{name}: {record.outcome.get(name)} in the record, {machine.get(name)} here"
        for name in SAME_MACHINE
        if machine.get(name) != record.outcome.get(name)
    ]
    if machine.get("device") != "cpu":
        differs.append("a GPU rounds differently each time")
    return Rerun(
        differs=tuple(differs),
        is_identical=same and weights_sha256 == record.weights_sha256,
        first=float(new[0] - old[0]),
        mean=float(new[half:].mean() - old[half:].mean()),
    )
