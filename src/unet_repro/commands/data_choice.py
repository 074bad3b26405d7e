"""Which data a training uses: named in the arguments before anything is composed, so that no choice is silent."""

from collections.abc import Sequence

from unet_repro import conf_files
from unet_repro.commands.arguments import choices_of, config_dirs
from unet_repro.data.sources import registry
from unet_repro.errors import ConfigError

AUTO = "auto"
_SHOWS_ONLY = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--version")


def with_data(verb: str, arguments: Sequence[str]) -> tuple[list[str], str]:
    """Replaces ``data=auto``, which is the default, by a data set.

    Returns:
        The arguments, and a line that says which data are used and why; empty if nothing will be trained.

    Raises:
        ConfigError: If some of the given experiments choose their own data and others do not.
    """
    if any(argument.partition("=")[0] in _SHOWS_ONLY for argument in arguments):
        return list(arguments), ""
    wanted = next((argument.partition("=")[2] for argument in arguments if argument.startswith("data=")), None)
    by = ""
    if wanted is None:
        wanted, by = _default(verb, arguments)
    names = wanted.split(",")
    if AUTO not in names:
        return list(arguments), f"data: {_described(wanted, arguments)}{by}"
    name, why = registry.auto()
    chosen = ",".join(dict.fromkeys(name if one == AUTO else one for one in names))
    rest = [argument for argument in arguments if not argument.startswith("data=")]
    return [*rest, f"data={chosen}"], f"data: {_described(chosen, arguments)} (data=auto: {why})"


def _default(verb: str, arguments: Sequence[str]) -> tuple[str, str]:
    """The data without ``data=``: an experiment's own, else ``auto``; and who chose them."""
    given = choices_of(verb, arguments)
    experiments = next((one.partition("=")[2] for one in arguments if one.startswith("experiment=")), "").split(",")
    found = {
        conf_files.chosen("train", {**given, "experiment": name} if name else given, config_dirs(arguments))["data"]
        for name in experiments
    }
    if len(found) > 1:
        raise ConfigError(
            f"the experiments {', '.join(experiments)} use different data: {', '.join(sorted(found))}",
            hint="add data=..., or train them one by one",
        )
    (name,) = found
    return name, "" if name == AUTO else f" (of experiment={experiments[0]})"


def _described(name: str, arguments: Sequence[str]) -> str:
    """The data in words.

    >>> _described("synthetic", []), _described("folder", ["data.root=mine"])
    ('synthetic images, generated from a seed', 'folder, data.root=mine')
    """
    if name == "synthetic":
        return "synthetic images, generated from a seed"
    return ", ".join([name, *(argument for argument in arguments if argument.startswith("data."))])
