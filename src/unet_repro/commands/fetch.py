"""``unet-repro fetch``: downloads the public data sets."""

import argparse
from pathlib import Path

from unet_repro.data.sources import registry as sources


def main(arguments: list[str]) -> None:
    """Downloads a data set, checks it, and prints its licence and citation."""
    parser = argparse.ArgumentParser(
        prog="unet-repro fetch", description="Downloads a data set and checks its SHA-256."
    )
    parser.add_argument("name", help=f"one of {', '.join(sources.registry())}, or hela, u373")
    parser.add_argument("--root", type=Path, help="target folder (default: $UNET_REPRO_DATA, else ./data)")
    parser.add_argument("--base-url", help="address of a mirror with the same layout")
    asked = parser.parse_args(arguments)
    print(sources.describe(asked.name))
    print(f"in {sources.fetch(asked.name, root=asked.root, base_url=asked.base_url)}")
