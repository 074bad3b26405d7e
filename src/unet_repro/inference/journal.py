"""The progress of one file's prediction, in a small hidden file beside its output, so that it can be resumed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unet_repro.files import write_atomically

Signature = dict[str, Any]


@dataclass
class Position:
    """The position of a prediction.

    Attributes:
        tile_hw: Height and width of its tiles.
        plane: The current plane.
        row: Finished rows of tiles of that plane.
        numbered: Planes whose objects are numbered, if the result is instances.
        complete: Whether all of its content is on disk, and only the output's name is left.
        done: Whether the output is finished.
        summary: Fields of the ``Summary`` of its objects, if they are measured.
        unlike: Why the image is unlike the training images, if it is.
    """

    tile_hw: tuple[int, int]
    plane: int = 0
    row: int = 0
    numbered: int = 0
    complete: bool = False
    done: bool = False
    summary: dict[str, Any] | None = None
    unlike: str | None = None


class Journal:
    """The record of one output.

    Args:
        target: The output's path.
        signature: Everything that the output depends on, in plain types; records with another signature are ignored.
    """

    def __init__(self, target: Path, signature: Signature) -> None:
        self.path = target.with_name(f".{target.name}.predict.json")
        self.signature: Signature = json.loads(json.dumps(signature))

    def read(self) -> Position | None:
        """Where an earlier process with the same signature stopped; ``None`` if there was none."""
        try:
            record = json.loads(self.path.read_text())
            if record["signature"] != self.signature:
                return None
            position = Position(**record["position"])
        except (OSError, ValueError, KeyError, TypeError):  # no record, or a damaged one: start over
            return None
        position.tile_hw = (int(position.tile_hw[0]), int(position.tile_hw[1]))
        return position

    def write(self, position: Position) -> None:
        """Records that everything before this position is on disk."""
        write_atomically(self.path, json.dumps({"signature": self.signature, "position": asdict(position)}))

    def forget(self) -> None:
        """Removes the record."""
        self.path.unlink(missing_ok=True)
