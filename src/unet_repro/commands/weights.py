"""``unet-repro weights``: draws the weight maps."""

from unet_repro.commands.data_choice import with_data
from unet_repro.commands.hydra_app import compose
from unet_repro.commands.options import parser
from unet_repro.config import check
from unet_repro.data.normalise import channels_first
from unet_repro.errors import DataError
from unet_repro.report.weights_figure import all_weight_maps, draw_weights
from unet_repro.training.build import read_data


def main(arguments: list[str]) -> None:
    """Draws one labelled training image with every map of ``conf/weight_map``."""
    asked = parser("weights").parse_args(arguments)
    overrides, line = with_data("weights", asked.overrides)
    print(line)
    data = read_data(check(compose("train", overrides)))
    samples = {sample.key: sample for sample in data.samples}
    labelled = {key: sample.labels for key, sample in samples.items() if sample.labels is not None}
    key = asked.key or data.split.train[0]
    if key not in labelled:
        some = ", ".join(list(labelled)[:5]) + (" ..." if len(labelled) > 5 else "")
        raise DataError(f"there is no labelled sample {key!r}", hint=f"use one of {some}")
    maps = all_weight_maps(data, key)
    draw_weights(channels_first(samples[key].image)[0], labelled[key], maps, asked.out, crop_px=asked.crop)
    print(f"written: {asked.out}")
