"""``unet-repro inspect``: what a data set contains, what may be wrong with it, and the training that suits it."""

from unet_repro.commands.data_choice import with_data
from unet_repro.commands.hydra_app import compose
from unet_repro.commands.options import parser
from unet_repro.config import TrainConfig, check, make
from unet_repro.data.sources.folder import Folder
from unet_repro.data.sources.pairing import image_files
from unet_repro.errors import UserError
from unet_repro.inspection.facts import facts_of
from unet_repro.inspection.page import image_section, tile_section, weight_section, write_page
from unet_repro.inspection.planned import planned
from unet_repro.inspection.text import advice, facts_lines, plan_lines, split_line
from unet_repro.inspection.warnings import warnings_of
from unet_repro.stacks.reading import open_stack
from unet_repro.sweep.timing import seconds_for
from unet_repro.training.build import DataReader, build


def main(arguments: list[str]) -> None:
    """Prints the inspection and writes its page; what can be said is printed before an error in split or plan."""
    asked = parser("inspect").parse_args(arguments)
    overrides, line = with_data("inspect", asked.overrides)
    print(line)
    if not any(one.startswith("experiment=") for one in overrides):
        overrides = ["experiment=own_data", *overrides]
    composed, read = compose("train", overrides), DataReader()
    whole = read.whole(check(composed))
    facts = facts_of(whole.samples)
    lines = facts_lines(facts, whole.class_names, _pixel_size(check(composed)))
    try:
        config = planned(composed, read)
        data = read(config)
        tiles, _ = build(config, data)
    except UserError:
        print("\n".join([*lines, *(f"warning: {each}" for each in warnings_of(facts, None))]))
        raise
    lines += [split_line(data), *(f"warning: {each}" for each in warnings_of(facts, data))]
    lines += advice(facts, config, numbers_objects=whole.numbers_objects)
    print("\n".join(lines), flush=True)
    seconds = None if asked.no_timing else seconds_for(config, data)
    plan = plan_lines(config, None if seconds is None else seconds / 60)
    print("\n".join(plan))
    tiles.setup("fit")
    assert tiles.train_tiles is not None, "setup makes them"
    pictures = [
        image_section(data.samples, asked.images),
        weight_section(tiles, config),
        tile_section(tiles.train_tiles),
    ]
    write_page(asked.out, [*whole.notes, *lines, *plan], pictures)
    print(f"written: {asked.out}")


def _pixel_size(config: TrainConfig) -> str:
    """Height and width of a pixel of a folder's images in words, from the headers of its files."""
    if not config.data["_target_"].endswith(f".{Folder.__name__}"):
        return "unknown"
    sizes, folder = set(), make("data", config.data)
    for path in image_files(folder.root / "images").values():
        with open_stack(path, choice=folder.choice) as stack:
            sizes.add(stack.pixel_size_um)
    if len(sizes) > 1:
        return "not the same in all images"
    size = sizes.pop()
    return "unknown" if size is None else f"{size[0]:.3g} x {size[1]:.3g} µm"
