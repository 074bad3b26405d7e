"""Packs trained runs as the networks that come with this program: `python benchmarks/reference_models.py NAME=RUN ...`.

Each becomes ``src/unet_repro/reference/NAME.zip``, a BioImage.IO package of ONNX weights and the run itself. Its card
has the run's scores, terms and citation of its data, and the text of ``experiments/reference/NAME.md``: the measures
out of fold (the network itself is trained on all images) and what it fails on. ``SHA256SUMS`` beside them is rewritten.
"""

import argparse
import hashlib
from pathlib import Path

from unet_repro.export.bioimageio import export_bioimageio
from unet_repro.runs.network import Checkpoint, open_network

ROOT = Path(__file__).parents[1]
MOST_BYTES = 15_000_000  # of all packages together


def build(
    name: str, run: Path, folder: Path, *, notes: Path, author: str, licence: str, checkpoint: Checkpoint
) -> Path:
    """Writes one package.

    Args:
        name: The network's name.
        run: The run's folder.
        folder: Where the packages are.
        notes: The text that is added to its card.
        author: See ``export_bioimageio``, also for the arguments that follow.
        licence: An SPDX identifier.
        checkpoint: The weights.

    Raises:
        SystemExit: If the text is missing.
    """
    if not notes.is_file():
        raise SystemExit(f"{notes} is missing: state the data, the measures out of fold and what {name} fails on")
    package = folder / f"{name}.zip"
    export_bioimageio(
        open_network(run, checkpoint),
        package,
        author=author,
        licence=licence,
        checkpoint=checkpoint,
        weights=("onnx",),
        notes=notes.read_text(),
    )
    return package


def write_sums(folder: Path) -> int:
    """Lists all packages with their hashes, and returns their size in bytes."""
    packages = sorted(folder.glob("*.zip"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in packages]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return sum(path.stat().st_size for path in packages)


def main() -> None:
    """Packs the named runs."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("networks", nargs="+", metavar="NAME=RUN")
    asked.add_argument("--author", default="unet-repro")
    asked.add_argument("--licence", default="MIT", help="of the weights, an SPDX identifier")
    asked.add_argument("--checkpoint", choices=("best", "last"), default="last")
    asked.add_argument("--notes", type=Path, default=ROOT / "experiments" / "reference")
    asked.add_argument("--folder", type=Path, default=ROOT / "src" / "unet_repro" / "reference")
    given = asked.parse_args()
    for pair in given.networks:
        name, _, run = pair.partition("=")
        package = build(
            name,
            Path(run),
            given.folder,
            notes=given.notes / f"{name}.md",
            author=given.author,
            licence=given.licence,
            checkpoint=given.checkpoint,
        )
        print(f"written: {package}, {package.stat().st_size / 1e6:.1f} MB")
    if (total := write_sums(given.folder)) > MOST_BYTES:
        raise SystemExit(f"all packages have {total / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
