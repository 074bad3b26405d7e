"""The text of a package: what the network is, how it is used, how good it is, and whose images it was trained on."""

from dataclasses import dataclass

from unet_repro.data.sources.registry import registry
from unet_repro.files import markdown_table
from unet_repro.models.protocol import normalises_tiles
from unet_repro.models.unet import UNet
from unet_repro.runs.folder import SCORES_OF_SEEN
from unet_repro.runs.network import Checkpoint, Network
from unet_repro.runs.package import NAME as PACKAGE_NAME


def kind_of(network: Network) -> str:
    """The network's kind in words."""
    if isinstance(network.net, UNet):
        return "U-Net with unpadded convolutions (Ronneberger et al. 2015)"
    return f"Network {type(network.net).__name__}"


def card(network: Network, checkpoint: Checkpoint, *, cover_of: str | None) -> str:
    """The package's README.

    Args:
        network: A run's network.
        checkpoint: The run's checkpoint that it was opened with.
        cover_of: Name of the data set of the cover picture, or ``None`` without a picture.
    """
    geometry = network.geometry
    channels = "" if network.in_channels == 1 else f" with {network.in_channels} channels"
    lines = [
        f"# unet-repro {network.run_id}",
        f"{kind_of(network)}. It takes images{channels} of any size, as grey values as stored, and returns the "
        f"probability of each class for every pixel. Classes: {', '.join(network.class_names)}.",
        *_outputs(network),
        "Normalisation with the training images' mean and standard deviation, mirror padding at the border and the "
        "crop to the image's size are part of the graph.",
        _tiling(network),
        "# Validation",
        *_scores(network, checkpoint),
        "When it was written, its weights were compared with the original run at several image sizes, and gave its "
        f"probabilities. The network's halo is {geometry.halo_px} pixels, its step {geometry.step_px}.",
        "# Data",
        *_credit(network, cover_of),
    ]
    return "\n\n".join(lines) + "\n"


def _outputs(network: Network) -> list[str]:
    """What the network expects and returns beside classes, if anything."""
    lines = []
    if network.scale is not None:
        lines.append(
            f"It works at {network.scale:g} of its training images' resolution: reduce an image by this factor (by "
            "area averages) before, and enlarge the output after. `unet-repro predict` does both."
        )
    if network.head.has_seeds:
        meaning = {
            "border": "the probability of the inner part of an object, which is low where objects touch",
            "distance": "the distance from the outline of the object, 0 to 1 in its middle",
        }[network.head.kind]
        lines.append(
            f"The last channel, `{network.head.names[0]}`, is no class but {meaning}. Its pieces above a threshold are "
            "the seeds of objects: a watershed from them within the foreground separates touching objects."
        )
    return lines


def _tiling(network: Network) -> str:
    geometry = network.geometry
    if normalises_tiles(network.net):
        return "Because of instance or group norm the output depends on the complete image: do not cut it into tiles."
    if not geometry.halo_px:
        return "The network pads its own layers: where an image is cut into tiles, their borders can differ."
    margin = -(-geometry.halo_px // geometry.step_px) * geometry.step_px
    return (
        f"If an image is too large for the memory, cut it into tiles whose starts and sizes are multiples of "
        f"{geometry.step_px} pixels, and leave out {margin} pixels at each inner border; the result is then the same."
    )


@dataclass(frozen=True)
class Scores:
    """A run's scores on its own validation images.

    Attributes:
        values: Measure and value.
        when: The step and seed, in words.
        note: How the step was selected.
    """

    values: list[tuple[str, str]]
    when: str
    note: str


def validation_scores(network: Network, checkpoint: Checkpoint) -> Scores | None:
    """The run's own scores; ``None`` if it had not finished."""
    result = network.folder.result()
    if result is None:
        return None
    row = result["best" if checkpoint == "best" else "final"]
    values = [(key.removeprefix("val/"), f"{value:.4g}") for key, value in row.items() if key.startswith("val/")]
    note = (
        "The step was selected by the mean IoU on these very images, so that the scores are optimistic."
        if checkpoint == "best"
        else "The step was fixed in advance."
    )
    if network.folder.trains_on_validation():
        note += f" Note: {SCORES_OF_SEEN}."
    return Scores(values, f"at step {row['step']:.0f} of {result['steps']}, seed {result['seed']}", note)


def why_no_scores(network: Network) -> str:
    """Why ``validation_scores`` has none."""
    is_package = (network.folder.path / PACKAGE_NAME).exists()
    return "a package has them in its own card" if is_package else "the run had not finished"


def _scores(network: Network, checkpoint: Checkpoint) -> list[str]:
    """A table of the run's own scores."""
    scores = validation_scores(network, checkpoint)
    if scores is None:
        return [f"There are no scores: {why_no_scores(network)}."]
    return [
        f"Scores on the run's validation images {scores.when}. {scores.note}",
        markdown_table(["measure", "value"], scores.values),
    ]


def _credit(network: Network, cover_of: str | None) -> list[str]:
    """Source, terms and citation of the training images, and what the cover picture shows."""
    name = cover_of or network.data_name
    known = registry().get(name)
    lines = [
        f"Trained on: {name}." if known is None else f"Trained on: {name}. Terms: {known.licence}. Cite: {known.cite}."
    ]
    if cover_of is not None:
        lines.append(
            "The cover picture shows part of a validation image of this data set, and beside it the classes that the "
            "run predicts there."
        )
    return lines
