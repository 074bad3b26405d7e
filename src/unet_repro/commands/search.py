"""``unet-repro search``: tunes settings with Optuna, using the same runs and launchers as a sweep."""

from unet_repro.commands import hydra_app
from unet_repro.commands.train import task


def main(arguments: list[str]) -> None:
    """Searches; takes Hydra overrides, and ``hydra.sweeper.*`` for the search itself."""
    hydra_app.run(task, name="train", arguments=["-m", "hydra/sweeper=search", *arguments])
