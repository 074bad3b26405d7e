"""Whether training in bfloat16 costs quality: `experiment=own_data` on EM in both precisions, several seeds each.

    python benchmarks/precision.py [--runs reports/precision_runs] [--seeds 0 1 2]

Trains missing runs by the command line, and resumes stopped ones. It measures the last weights
on the validation slices, in float32, as the trial does: at equal probability, means over the slices.
"""

import json
import statistics
import subprocess
import sys

from harness import UNET_REPRO, Record, Row, options

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.evaluation.evaluations import evaluate
from unet_repro.machine import usable_cores
from unet_repro.training.build import run_folder

FP32, BF16 = "32-true", "bf16-mixed"
MEASURES = {"iou": "mean IoU", "v_rand": "V_rand, thinned"}
SECONDS = "training"


def trained(settings: list[str]) -> dict[str, float]:
    """Measures and seconds of a run, which is trained if necessary."""
    subprocess.run([sys.executable, *UNET_REPRO, "train", *settings], check=True)
    folder = run_folder(check(compose("train", settings)))
    images = evaluate(folder.path, ["scores"])["at_half"]["1"].values()
    found = {name: statistics.mean(image[key] for image in images) for key, name in MEASURES.items()}
    return {**found, SECONDS: json.loads(folder.provenance.read_text())["seconds"]}


def main() -> None:
    asked = options(
        __doc__, runs="reports/precision_runs", seeds=[0, 1, 2], settings=["experiment=own_data", "data=isbi2012"]
    )
    settings = [*asked.settings, "logger.mode=disabled", f"trainer.threads={usable_cores()}", f"runs_dir={asked.runs}"]
    found: dict[str, list[dict[str, float]]] = {FP32: [], BF16: []}
    for seed in asked.seeds:
        for precision, runs in found.items():
            runs.append(trained([*settings, f"seed={seed}", f"trainer.precision={precision}"]))
    record = Record("precision", f"Quality on EM by precision of the training, {len(asked.seeds)} seeds (mean, range)")
    for name in (*MEASURES.values(), SECONDS):
        unit = "s" if name == SECONDS else ""
        values = {precision: [run[name] for run in runs] for precision, runs in found.items()}
        means = {precision: statistics.mean(of_seeds) for precision, of_seeds in values.items()}
        for precision, of_seeds in values.items():
            for seed, value in zip(asked.seeds, of_seeds, strict=True):
                record.rows.append(Row(f"{name}: {precision}, seed {seed}", value, unit))
            record.rows.append(Row(f"{name}: {precision}", means[precision], unit, (min(of_seeds), max(of_seeds))))
        difference, width = means[FP32] - means[BF16], max(values[FP32]) - min(values[FP32])
        if name == SECONDS:
            compared = {"ratio": means[FP32] / means[BF16], "to": f"{FP32}, times faster"}
        else:
            compared = {"ratio": difference / width, "to": f"range over seeds in {FP32}", "goal": "<= 1"}
        record.rows.append(Row(f"{name}: less in {BF16}", difference, unit, **compared))
    record.write()


if __name__ == "__main__":
    main()
