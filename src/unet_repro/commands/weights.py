"""``unet-repro weights``: what the weight maps look like."""

import argparse
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from unet_repro.commands.hydra_app import compose, conf_dir
from unet_repro.config import check, make
from unet_repro.data.labels import class_counts, classes_from_instances
from unet_repro.data.normalise import channels_first
from unet_repro.data.weight_cache import cached
from unet_repro.errors import DataError
from unet_repro.report.weights_figure import draw_weights
from unet_repro.train import read_data


def main(arguments: list[str]) -> None:
    """Draws one labelled training image with every map of ``conf/weight_map``."""
    parser = argparse.ArgumentParser(
        prog="unet-repro weights", description="Draws an image, its labels and every weight map side by side."
    )
    parser.add_argument("overrides", nargs="*", help="as for train, e.g. data=isbi2012")
    parser.add_argument("--key", help="which sample, such as train/00 (default: the first of the training part)")
    parser.add_argument("--out", type=Path, default=Path("reports/weights.png"))
    parser.add_argument("--crop", type=int, default=256, help="side of the part that is shown, in pixels")
    asked = parser.parse_args(arguments)

    data = read_data(check(compose("train", asked.overrides)))
    samples = {sample.key: sample for sample in data.samples}
    labelled = {key: sample.labels for key, sample in samples.items() if sample.labels is not None}
    key = asked.key or data.split.train[0]
    if key not in labelled:
        raise DataError(f"there is no labelled sample {key!r}", mend=f"use one of {', '.join(list(labelled)[:5])} ...")
    counts = np.mean([class_counts(classes_from_instances(labelled[name])) for name in data.split.train], axis=0)
    maps = {}
    for file in sorted((conf_dir() / "weight_map").glob("*.yaml")):
        node = OmegaConf.to_container(OmegaConf.load(file))
        assert isinstance(node, dict), "a weight map's configuration is a mapping"
        maps[file.stem] = cached(make("weight_map", {str(k): v for k, v in node.items()}), labelled[key], counts)
    draw_weights(channels_first(samples[key].image)[0], labelled[key], maps, asked.out, crop_px=asked.crop)
    print(f"written: {asked.out}")
