"""``unet-repro runs``: lists the runs of a folder. Imports nothing slow."""

from unet_repro.commands.options import parser
from unet_repro.files import counted
from unet_repro.sweep.listing import listed, table
from unet_repro.sweep.status import terminal
from unet_repro.sweep.summary import EXPLAINED


def main(arguments: list[str]) -> None:
    """Prints one line for each run."""
    asked = parser("runs").parse_args(arguments)
    runs = listed(asked.folder, state=asked.state, sort=asked.sort)
    console = terminal()
    console.print(table(runs))
    console.print(f"{counted(len(runs), 'run')}. {EXPLAINED}", soft_wrap=True)
