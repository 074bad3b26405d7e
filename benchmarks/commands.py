"""Seconds of commands that must not import torch: ``python benchmarks/commands.py``."""

import tempfile

from harness import UNET_REPRO, Record, in_turn, run

GOAL_S = 1.0
LINES = (
    "--help", "train --help", "evaluate --help", "reproduce --help", "report --help", "tiles 572", "runs",
    "sweep-status", "completion --line unet-repro",
)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:

        def command(*arguments: str) -> None:
            run(*UNET_REPRO, *arguments, cwd=folder)

        command("train", "-m", "seed=0,1", "scale=smoke", "model.depth=1", "data=synthetic", "data.num_slices=6",
                "logger.mode=disabled", "experiment=optimizer")  # fmt: skip
        commands = {f"unet-repro {line}": line.split() for line in LINES}
        times = in_turn({name: lambda a=arguments: command(*a) for name, arguments in commands.items()}, rounds=7)
    record = Record("commands", "Commands that start without torch")
    for name, seconds in times.items():
        record.add(name, seconds, ratio=seconds.median / GOAL_S, to="one second", goal="<= 1")
    record.write()


if __name__ == "__main__":
    main()
