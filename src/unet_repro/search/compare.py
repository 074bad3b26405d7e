"""The comparison at the end of a search: each arm's best setting, several seeds, measured on the test part."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn

from unet_repro.errors import ConfigError, DataError
from unet_repro.evaluation.likely_classes import measure_images
from unet_repro.evaluation.trained_run import open_trained
from unet_repro.files import csv_text, markdown_table, write_atomically
from unet_repro.runs.ledger import Entry, Ledger, unique
from unet_repro.search.search import Arm, Search
from unet_repro.sweep.plan import entry_of
from unet_repro.sweep.progress import SweepProgress
from unet_repro.sweep.run_all import train_all

MEASURES = ("iou", "loss")


def check_final(arms: Sequence[Arm], seeds: Sequence[int]) -> None:
    """Checks, before any trial, that the final comparison will be possible.

    Args:
        arms: The arms.
        seeds: Seeds of the final runs; empty for no comparison.

    Raises:
        ConfigError: If a seed is not valid or is repeated.
        DataError: If the test part has no image with public labels.
    """
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"hydra.sweeper.final_seeds={list(seeds)} has a duplicate", hint="list each seed once")
    for arm in arms:
        for seed in seeds:
            arm.trained([f"seed={seed}"])
        data = arm.read(arm.config)
        labelled = {sample.key for sample in data.samples if sample.labels is not None}
        if seeds and labelled.isdisjoint(data.split.test):
            raise DataError(
                f"the test part of {data.name} has no labelled images, so nothing can be measured on it",
                hint="use split=held_out, or hydra.sweeper.final_seeds=[]",
            )


def compare_best(
    arms: Sequence[Arm],
    search: Search,
    seeds: Sequence[int],
    launch: Callable[[Sequence[Entry]], Sequence[JobReturn]],
) -> list[str]:
    """Trains each arm's best setting with each seed, as ordinary runs of the comparison, and measures them.

    Returns:
        A line for each run that failed.
    """
    entries = []
    for seed in seeds:
        for arm in arms:
            full = [*arm.overrides, *search.best(arm), f"seed={seed}"]
            shared = arms[0].trained([f"seed={seed}"])  # settings that the comparison's runs share
            chosen = arm.trained(full[len(arm.overrides) :])
            entries.append(entry_of(shared, chosen, arm.name, full, (), read=arm.read, tuning_trials=search.trials))
    Ledger(search.runs_dir).record(entries)
    with SweepProgress(unique(entries), search.runs_dir, lambda: None) as progress:
        failures = train_all(unique(entries), search.runs_dir, launch, show_line=progress.show_line)
    if not failures:
        _write(entries, arms, search)
    return failures


def _write(entries: Sequence[Entry], arms: Sequence[Arm], search: Search) -> None:
    """Prints the table of the test part, and writes it as CSV and Markdown."""
    rows = []
    for arm in arms:
        runs = [search.runs_dir / entry.run_id for entry in entries if entry.arm == arm.name]
        measured = [measure_images(open_trained(run, "last"), "test") for run in runs]
        row = {"arm": arm.name, "chosen": " ".join(search.best(arm)), "trials": search.trials, "seeds": len(runs)}
        for name in MEASURES:
            values = [statistics.fmean(image[name] for image in images.values()) for images in measured]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            row |= {f"test_{name}_mean": round(statistics.fmean(values), 4), f"test_{name}_sd": round(spread, 4)}
        rows.append(row)
    markdown = markdown_table(list(rows[0]), [list(row.values()) for row in rows])
    folder = Path("reports") / entries[0].experiment
    write_atomically(folder / "test.csv", csv_text(rows))
    write_atomically(folder / "test.md", markdown + "\n")
    print(f"{markdown}\nwritten: {folder / 'test.csv'}, {folder / 'test.md'}", flush=True)
