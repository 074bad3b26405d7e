"""``unet-repro fetch``: downloads the public data sets."""

from unet_repro.commands.options import parser
from unet_repro.data.sources import registry as sources


def main(arguments: list[str]) -> None:
    """Downloads a data set, checks it, and prints its licence and citation."""
    asked = parser("fetch").parse_args(arguments)
    print(sources.describe(asked.name))
    print(f"in {sources.fetch(asked.name, root=asked.root, base_url=asked.base_url)}")
