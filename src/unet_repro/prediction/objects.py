"""What `unet-repro predict` writes about objects: which settings, which files, and the page of a batch."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from unet_repro.errors import ConfigError
from unet_repro.inference.instance_settings import InstanceOverrides, InstanceSettings
from unet_repro.inference.instances import candidates, check_seeds
from unet_repro.inference.journal import Journal
from unet_repro.inference.result import Kind
from unet_repro.objects.batch import write_batch
from unet_repro.objects.sheet import Card, check_own
from unet_repro.objects.summary import Summary
from unet_repro.objects.write import Extra, paths_of
from unet_repro.runs.network import Checkpoint, Network
from unet_repro.runs.object_settings import read_choice
from unet_repro.stacks.names import stem

AnyKind = Literal["auto", "classes", "probabilities", "instances"]


def chosen_kind(kind: AnyKind, network: Network) -> tuple[Kind, list[str]]:
    """The kind of result, and notes: ``auto`` is ``instances`` for runs trained on numbered objects."""
    if kind != "auto":
        return kind, []
    if not (network.numbers_objects or network.head.has_seeds):
        return "classes", []
    return "instances", ["kind=instances, since the run was trained on numbered objects; add kind=classes for classes"]


def object_settings(
    given: InstanceOverrides, network: Network, checkpoint: Checkpoint, kind: Kind
) -> tuple[InstanceSettings, list[str]]:
    """The settings for objects, and notes on them: the given ones, else those that evaluation chose for these weights.

    Raises:
        ConfigError: If a given setting is out of range.
        RunError: If the record of the choice is damaged.
    """
    default = candidates(has_seeds=network.head.has_seeds)[0]
    if kind != "instances":
        return given.over(default), []
    chosen = read_choice(network.folder, checkpoint)
    used = given.over(chosen or default)
    check_seeds(used, has_seeds=network.head.has_seeds)
    values = ", ".join(f"{name}={value}" for name, value in asdict(used).items())
    if chosen is None:
        command = f"unet-repro evaluate run={network.folder.path} checkpoint={checkpoint}"
        return used, [f"objects: {values}; not chosen on validation images: `{command}` chooses them"]
    given_too = ", except for those given" if any(value is not None for value in asdict(given).values()) else ""
    return used, [f"objects: {values}; chosen on validation images{given_too}"]


def extras_of(kind: Kind, objects: bool | Collection[Extra]) -> frozenset[Extra]:
    """The files that are written about the objects of each image."""
    if kind != "instances" or objects is False:
        return frozenset()
    return frozenset(get_args(Extra) if objects is True else objects)


def check_new(target: Path, extras: Iterable[Extra]) -> None:
    """Checks that no file about the objects of an output exists.

    Raises:
        ConfigError: If one does.
    """
    for path in (paths_of(target, extra) for extra in extras):
        if path.exists():
            raise ConfigError(
                f"the output {path} already exists",
                hint="add overwrite=true, choose another output, or add objects=false",
            )


def _check_distinct(targets: Iterable[Path]) -> None:
    """Checks that no two outputs differ only in their suffix: their objects would be written to the same files.

    Raises:
        ConfigError: If two do.
    """
    twice = [name for name, times in Counter(map(stem, targets)).items() if times > 1]
    if twice:
        raise ConfigError(
            f"the objects of several images would be written to {twice[0]}.objects.csv",
            hint="give the images different names, or predict them one by one",
        )


@dataclass(frozen=True)
class Overview:
    """The files about the objects of a batch.

    Attributes:
        page: ``index.html`` in an output folder, ``NAME.html`` beside a single output; ``None`` if it is not wanted.
        table: ``objects.csv`` in an output folder; ``None`` if it is not wanted.
    """

    page: Path | None
    table: Path | None

    def check_new(self, *, resumes: bool) -> None:
        """Checks that it would not replace the files of another batch.

        Args:
            resumes: Whether an earlier process has begun this batch.

        Raises:
            ConfigError: If it would.
        """
        for path in (self.page, self.table):
            if path is not None and path.exists() and not resumes:
                raise ConfigError(
                    f"the output {path} already exists, with other images",
                    hint="add overwrite=true, choose another output, or add objects=false",
                )


def overview_of(output: Path, targets: list[Path], extras: Collection[Extra], *, wanted: bool) -> Overview:
    """The files about the objects of a batch.

    Args:
        output: The setting.
        targets: The output of each image.
        extras: The files that are written about the objects of each image.
        wanted: Whether a page is written if there are objects.

    Raises:
        ConfigError: If the page would replace somebody else's file, or two images have the same files about objects.
    """
    if not extras:
        return Overview(None, None)
    _check_distinct(targets)
    is_file = targets == [output]
    page = (output.with_name(f"{stem(output)}.html") if is_file else output / "index.html") if wanted else None
    if page is not None:
        check_own(page)
    return Overview(page, output / "objects.csv" if "table" in extras and not is_file else None)


def write_overview(
    overview: Overview,
    finished: Iterable[tuple[str, Path, Journal]],
    extras: frozenset[Extra],
    *,
    title: str,
    notes: list[str],
) -> None:
    """Writes the page of a batch and the table of all of its objects, if they are wanted.

    Args:
        overview: See ``overview_of``.
        finished: Name, output and record of each finished image.
        extras: The files about objects that were written.
        title: Title of the page.
        notes: Sentences below it.

    Raises:
        RunError: If a file cannot be written.
    """
    if overview == Overview(None, None):
        return
    cards = (card for each in finished if (card := _card(*each, extras)) is not None)
    write_batch(overview.page, overview.table, cards, title=title, notes=notes)


def _card(name: str, target: Path, journal: Journal, extras: frozenset[Extra]) -> Card | None:
    position = journal.read()
    if position is None or position.summary is None:
        return None
    files = {extra: paths_of(target, extra) for extra in get_args(Extra) if extra in extras}
    links = [target, *files.values()]
    return Card(name, Summary(**position.summary), position.unlike, files.get("overlay"), files.get("table"), links)
