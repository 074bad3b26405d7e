"""Checks configuration nodes with ``_target_`` against the signature of their target.

The annotations of a constructor are the schema of its configuration, so the two cannot diverge.
"""

import difflib
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import get_object
from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter

from unet_repro.config_values import validated
from unet_repro.errors import ConfigError

Plain = dict[str, Any]
# Marks a callback that only observes: it cannot change numbers, and is not part of a run's identity.
OBSERVES = "_observes_"
_MARKS = ("_target_", "_partial_", OBSERVES)


def check_nodes(path: str, nodes: Any, *, optional: Collection[str] = ()) -> dict[str, Plain] | None:
    """Checks named nodes, each with a ``_target_``, or null to remove it.

    Args:
        path: Name of the mapping in the configuration.
        nodes: The mapping, or ``None``.
        optional: As for ``check_node``.

    Returns:
        The checked nodes; ``None`` if there are none.

    Raises:
        ConfigError: If a node has no ``_target_`` or does not match it.
    """
    if nodes is not None and not isinstance(nodes, Mapping):
        raise ConfigError(f"{path}={nodes!r} is not a mapping", hint=f"use {path}.NAME._target_=package.module.Class")
    checked = {}
    for name, node in (nodes or {}).items():
        if node is None:
            continue
        if not isinstance(node, Mapping) or "_target_" not in node:
            raise ConfigError(f"{path}.{name} has no _target_", hint=f"set {path}.{name}._target_=package.module.Class")
        checked[str(name)] = check_node(f"{path}.{name}", node, optional=optional)
    return checked or None


def check_node(
    path: str, node: Mapping[str, Any], *, supplied: Collection[str] = (), optional: Collection[str] = ()
) -> Plain:
    """Checks a node and converts its values to the types in its target's signature, recursively.

    Args:
        path: Its name in the configuration.
        node: The node.
        supplied: Arguments that only the code supplies.
        optional: Arguments that the code supplies where the node does not.

    Raises:
        ConfigError: If the target cannot be imported, a key is unknown or missing, or a value is of the wrong type.
    """
    target = _target(path, str(node["_target_"]))
    arguments = {key: value for key, value in node.items() if key not in _MARKS}
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}._target_={node['_target_']} has no signature", hint="name a class or a function"
        ) from error
    accepted = [parameter for parameter in parameters if parameter.name != "self" and parameter.name not in supplied]
    known = {parameter.name for parameter in accepted}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted):
        known |= arguments.keys() - set(supplied)
    needed = [
        parameter.name
        for parameter in accepted
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and parameter.name not in optional
    ]
    check_names(f"{path}.", arguments, known, needed)
    hints = _hints(target)
    checked = dict(node)
    for name, value in arguments.items():
        if isinstance(value, dict) and "_target_" in value:
            checked[name] = check_node(f"{path}.{name}", value, supplied=supplied)
        elif name in hints:
            checked[name] = _check_value(f"{path}.{name}", hints[name], value)
    return checked


def _target(path: str, dotted: str) -> Callable[..., Any]:
    try:
        return get_object(dotted)  # type: ignore[no-any-return]
    except (InstantiationException, ImportError, AttributeError, ValueError) as error:
        reason = str(error.__cause__ or error).splitlines()[-1]
        raise ConfigError(
            f"{path}._target_={dotted} cannot be imported: {reason}",
            hint="name an importable object; modules of your own must be on PYTHONPATH",
        ) from error


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the parameters; empty if they use names that a library imports for type checking only."""
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except NameError:
        return {}


def check_names(path: str, given: Mapping[str, Any], known: Iterable[str], needed: Iterable[str]) -> None:
    """Checks the names of keys.

    Args:
        path: Prefix of the names in messages.
        given: The mapping to check.
        known: Names that may occur.
        needed: Names that must occur.

    Raises:
        ConfigError: For an unknown or missing key.
    """
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {path}{near[0]}?" if near else f"known here: {', '.join(sorted(known)) or 'nothing'}"
            hint += f"; ~{path}{name} removes it" if path else ""
            raise ConfigError(f"unknown configuration key {path}{name}", hint=hint)
    for name in needed:
        if name not in given:
            raise ConfigError(f"missing configuration key {path}{name}", hint=f"set {path}{name}=...")


def _check_value(path: str, hint: Any, value: Any) -> Any:
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticSchemaGenerationError:
        return value  # a type without a pydantic schema: its constructor checks it
    return validated(path, adapter, value)
