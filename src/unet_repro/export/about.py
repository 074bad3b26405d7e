"""The words of an exported page about its network: what it is, what it was trained on, how good it is."""

from html import escape

from unet_repro.data.sources.registry import registry
from unet_repro.export.card import kind_of, validation_scores, why_no_scores
from unet_repro.files import counted
from unet_repro.models.protocol import first_width, normalises_tiles
from unet_repro.models.unet import UNet
from unet_repro.runs.network import Checkpoint, Network
from unet_repro.version import VERSION

PAPER = "Ronneberger, Fischer, Brox: U-Net. MICCAI 2015, doi:10.1007/978-3-319-24574-4_28"
_SHOWN = {"iou": "mean IoU", "dice": "mean Dice", "pixel_error": "pixel error"}  # scores by key


def title_of(network: Network) -> str:
    """The page's title, as HTML."""
    name = "U-Net" if isinstance(network.net, UNet) else type(network.net).__name__
    classes = " and ".join(f"“{each}”" for each in network.class_names[1:])
    return escape(f"{name} for {classes}{_trained_on(network)}", quote=False)


def lead_of(network: Network, checkpoint: Checkpoint) -> str:
    """The sentences below the title, as HTML."""
    sentences = ["It outlines, counts and measures objects in microscopy images."]
    scores = validation_scores(network, checkpoint)
    iou = dict(scores.values).get("iou") if scores else None
    if iou is not None and not network.folder.trains_on_validation():
        sentences.append(f"Mean IoU {iou} on its validation images.")
    known = registry().get(network.data_name)
    if known is not None:
        sentences.append(f"Terms of its training images: {known.licence}.")
    return escape(" ".join(sentences))


def _trained_on(network: Network) -> str:
    name = network.data_name
    return "" if name in ("unknown", "folder") else f", trained on {name}"


def about(network: Network, checkpoint: Checkpoint) -> str:
    """The facts about the network and its data, as HTML."""
    facts = (_network_facts(network), _data_facts(network, checkpoint))
    return "".join(f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in each)}</dl>" for each in facts)


def _network_facts(network: Network) -> list[tuple[str, str]]:
    geometry, net = network.geometry, network.net
    shape = f", width {first_width(net)}, depth {net.depth}" if isinstance(net, UNet) else ""
    parameters = sum(each.numel() for each in net.parameters())
    tiles = f"halo of {geometry.halo_px} pixels, mirrored at the border"
    if normalises_tiles(net):
        tiles += "; large images: the result depends on the tiles, because of the network's normalisation"
    return [
        ("Network", escape(f"{kind_of(network)}{shape}, {parameters:,} parameters")),
        ("Run", f"<code>{escape(network.run_id)}</code>"),
        ("Classes", escape(", ".join(network.class_names))),
        ("Input", f"{counted(network.in_channels, 'channel')}, grey values as stored"),
        ("Tiles", tiles),
        ("Made with", f"unet-repro {escape(VERSION)}"),
    ]


def _data_facts(network: Network, checkpoint: Checkpoint) -> list[tuple[str, str]]:
    name = network.data_name
    known = registry().get(name)
    facts = [("Trained on", escape("a folder of images" if name == "folder" else name))]
    if known is not None:
        facts += [("Terms", escape(known.licence)), ("Cite", escape(f"{known.cite}; {PAPER}"))]
    else:
        facts.append(("Cite", escape(PAPER)))
    scores = validation_scores(network, checkpoint)
    if scores is None:
        return [*facts, ("Scores", f"none: {why_no_scores(network)}")]
    values = dict(scores.values)
    facts += [(name, escape(values[key])) for key, name in _SHOWN.items() if key in values]
    return [*facts, ("Measured", escape(f"on the run's validation images {scores.when}. {scores.note}"))]
