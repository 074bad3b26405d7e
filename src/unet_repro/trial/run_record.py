"""A finished run as one line of the published record: all that verdicts, tables and figures need, without weights."""

import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unet_repro.conf_files import PLACEMENT
from unet_repro.errors import RunError
from unet_repro.files import sha256, write_atomically
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry

Plain = dict[str, Any]
DIGITS = 6  # significant digits of floats in the record
CURVE = ("val/iou", "val/iou_own", "val/threshold", "val/loss", "train/ce")
_OUTCOME = ("seconds", "seconds_at", "threads", "instruction_set", "steps", "batch", "parameters")
_MADE_BY = ("device", "commit", "torch")
_FIRST_CODE_VERSION = 2  # of runs that do not say theirs
_DIVERGED = "TrainingError: the loss is "  # the first words of error.txt of a training with a non-finite loss
_NOT_SETTINGS = ("data", "logger", "experiment", "arm", "runs_dir")


@dataclass(frozen=True)
class RunRecord:
    """One run that has ended: finished and evaluated, or failed because its loss was not finite.

    Attributes:
        run_id: Its identity.
        seed: Its seed.
        fold: The fold that it holds out.
        arms: Experiment -> arm, for every comparison that it belongs to.
        scale: Its scale.
        data: Name of its source.
        settings: Resolved configuration without paths, logging and placement.
        manifest: ``source``, ``digest``, ``split`` (``train``, ``val``, ``test``: keys) and ``samples``: key -> 12
            hexadecimal digits of the content of image and labels.
        code_version: Version of the code that determines its numbers.
        curve: ``step`` and the columns of ``CURVE`` at each validation; NaN where a value is missing.
        evaluation: The evaluation ``trial``; ``None`` for a failed run, and where no comparison asks for one.
        failed: Message of a run that failed; ``None`` for a finished one.
        outcome: ``seconds``, ``seconds_at``, ``threads``, ``instruction_set``, ``device``, ``commit``, ``torch``,
            ``steps``, ``batch``, ``parameters``, as far as known.
        weights_sha256: Hash of the last weights; ``None`` for a failed run.
    """

    run_id: str
    seed: int
    fold: int
    arms: dict[str, str]
    scale: str
    data: str
    settings: Plain
    manifest: Plain
    code_version: int
    curve: dict[str, list[float]]
    evaluation: Plain | None
    failed: str | None
    outcome: Plain
    weights_sha256: str | None

    @property
    def held_out(self) -> tuple[str, ...]:
        """Keys of its validation images."""
        return tuple(self.manifest["split"]["val"])

    def to_line(self) -> str:
        """One line of JSON with sorted keys, floats of six significant digits and ``null`` for NaN; no newline."""
        return json.dumps(rounded(vars(self)), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_line(cls, line: str | Mapping[str, Any]) -> "RunRecord":
        """Reads a line of JSON, or its content.

        Raises:
            RunError: If it is not a run of the record.
        """
        try:
            fields = json.loads(line) if isinstance(line, str) else dict(line)
            curve = {name: [_or_nan(value) for value in column] for name, column in fields["curve"].items()}
            return cls(**{**fields, "curve": curve})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(
                f"a line of the record is damaged: {error}", hint="restore the record's file from version control"
            ) from error


def record_of(folder: RunFolder, entries: Sequence[Entry]) -> RunRecord | None:
    """The record of a run from its folder.

    Args:
        folder: The run's folder.
        entries: Its entries in the ledger: at least one, and one for each comparison that it belongs to.

    Returns:
        ``None`` while it is not finished, or lacks sections of its evaluation that a comparison asks for, or if it
        failed for a reason that a retry may remove.

    Raises:
        RunError: If a file is damaged.
    """
    outcome, failed = folder.outcome(), _divergence(folder)
    evaluation = folder.evaluation()
    wanted = {section for entry in entries for section in entry.evaluations}
    if failed is None and (outcome is None or not wanted <= set((evaluation or {}).get("sections", ()))):
        return None
    outcome = outcome or folder.placement()
    config, manifest, first = folder.settings(), folder.read_manifest() or {}, entries[0]
    curves = folder.curves()
    made_by = outcome.get("made_by", {})
    record = RunRecord(
        run_id=folder.run_id,
        seed=first.seed,
        fold=fold_of(config),
        arms={entry.experiment: entry.arm for entry in entries},
        scale=first.scale,
        data=first.data,
        settings=settings_of(config),
        manifest={
            "source": manifest["source"],
            "digest": manifest["digest"],
            "split": manifest["split"],
            "samples": {key: sha256(json.dumps(one, sort_keys=True))[:12] for key, one in manifest["samples"].items()},
        },
        code_version=outcome.get("code_version", _FIRST_CODE_VERSION),
        curve={
            "step": [int(step) for step in curves.get("step", [])],
            **{name: curves[name] for name in CURVE if name in curves},
        },
        evaluation=None if failed else evaluation,
        failed=failed,
        outcome={
            **{key: outcome[key] for key in _OUTCOME if key in outcome},
            **{key: made_by[key] for key in _MADE_BY if key in made_by},
        },
        weights_sha256=None if failed else outcome["weights"]["last"],
    )
    return RunRecord.from_line(record.to_line())  # rounded, so that it equals the one read from the published record


def records_of(entries: Iterable[Entry], runs_dir: Path) -> list[RunRecord]:
    """Records of all runs that have ended, ordered by seed and id.

    Args:
        entries: Entries of the ledger; those with overrides by the user are left out.
        runs_dir: Folder of the runs.
    """
    of_run: dict[str, list[Entry]] = {}
    for entry in entries:
        if not entry.variant:
            of_run.setdefault(entry.run_id, []).append(entry)
    found = (record_of(RunFolder(runs_dir / run_id), members) for run_id, members in of_run.items())
    return _ordered(record for record in found if record is not None)


def read_records(path: Path) -> list[RunRecord]:
    """Reads ``runs.jsonl.gz``.

    Raises:
        RunError: If it is missing or damaged.
    """
    try:
        text = gzip.decompress(path.read_bytes()).decode()
    except (OSError, EOFError, ValueError) as error:
        raise RunError(f"cannot read the record {path}: {error}", hint="restore it from version control") from error
    return [RunRecord.from_line(line) for line in text.splitlines()]


def write_records(path: Path, records: Iterable[RunRecord]) -> None:
    """Writes ``runs.jsonl.gz``, ordered by seed and id: the same records give the same bytes."""
    text = "".join(record.to_line() + "\n" for record in _ordered(records))
    write_atomically(path, gzip.compress(text.encode(), mtime=0))


def settings_of(config: Mapping[str, Any]) -> Plain:
    """The settings of a resolved configuration without paths, logging and placement."""
    kept = {key: value for key, value in config.items() if key not in _NOT_SETTINGS}
    kept["trainer"] = {key: value for key, value in config["trainer"].items() if key not in PLACEMENT}
    return kept


def fold_of(config: Mapping[str, Any]) -> int:
    """The fold that a run holds out; 0 for a split without folds."""
    return int(config["split"].get("fold", 0))


def rounded(value: Any, digits: int | None = DIGITS) -> Any:
    """Rounds all floats in plain containers; NaN and infinities, which JSON does not have, become ``None``.

    Args:
        value: Plain containers.
        digits: Significant digits; ``None`` for all.

    >>> rounded({"a": [1 / 3, float("nan"), 2]})
    {'a': [0.333333, None, 2]}
    """
    if isinstance(value, float):
        exact = value if digits is None else float(f"{value:.{digits}g}")
        return exact if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: rounded(one, digits) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one, digits) for one in value]
    return value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _ordered(records: Iterable[RunRecord]) -> list[RunRecord]:
    return sorted(records, key=lambda record: (record.seed, record.run_id))


def _divergence(folder: RunFolder) -> str | None:
    """The message of a training that ended with a non-finite loss, which a retry would repeat."""
    if folder.state != "failed" or not folder.error.exists():
        return None
    reason = folder.error.read_text().partition("\n")[0]
    return reason.removeprefix("TrainingError: ") if reason.startswith(_DIVERGED) else None
