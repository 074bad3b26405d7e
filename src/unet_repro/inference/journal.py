"""How far the prediction of one file is: a small hidden file beside its output, so that a killed one goes on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unet_repro.files import replacing

Signature = dict[str, Any]


@dataclass
class Position:
    """Where a prediction is.

    Attributes:
        tile_hw: Height and width of the tiles it is made with.
        plane: The plane at work.
        row: Rows of tiles of it that are done.
        numbered: Planes whose objects are numbered, of a prediction of instances.
        done: Whether the output is finished.
    """

    tile_hw: tuple[int, int]
    plane: int = 0
    row: int = 0
    numbered: int = 0
    done: bool = False


class Journal:
    """The record of one output.

    Args:
        target: The output's path.
        signature: All that the output's content depends on, in plain types; a record of another one does not count.
    """

    def __init__(self, target: Path, signature: Signature) -> None:
        self.path = target.with_name(f".{target.name}.predict.json")
        self.signature: Signature = json.loads(json.dumps(signature))

    def read(self) -> Position | None:
        """Where an earlier process stopped; ``None`` if none began, or one with other settings."""
        try:
            record = json.loads(self.path.read_text())
            if record["signature"] != self.signature:
                return None
            position = Position(**record["position"])
        except (OSError, ValueError, KeyError, TypeError):  # no record, or half a one: the prediction begins anew
            return None
        position.tile_hw = (int(position.tile_hw[0]), int(position.tile_hw[1]))
        return position

    def write(self, position: Position) -> None:
        """Says that what lies before this position is on disk."""
        with replacing(self.path) as file:
            file.write(json.dumps({"signature": self.signature, "position": asdict(position)}).encode())

    def forget(self) -> None:
        """Removes the record."""
        self.path.unlink(missing_ok=True)
