"""``unet-repro search``: tunes settings with Optuna, using the same runs and launchers as a sweep."""

from unet_repro.commands import train


def main(arguments: list[str]) -> None:
    """Searches; takes Hydra overrides, and ``hydra.sweeper.*`` for the search itself."""
    train.run("search", ["-m", "hydra/sweeper=search", *arguments])
