"""Checks a value against a type, with errors in this project's words."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from unet_repro.errors import ConfigError, UserError

# Kind of pydantic's error -> what was expected, in words; the first part of the kind that is listed counts.
_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "list": "a list, such as [1,2]",
    "tuple": "a list, such as [1,2]",
    "dict": "a mapping, such as {a:1}",
    "mapping": "a mapping, such as {a:1}",
    "dataclass": "a group of settings",
    "none": "null",
    "too": "a list of another length",
    "is": "a list, such as [1,2]",  # an instance of Sequence
}


def validated(path: str, adapter: TypeAdapter[Any], value: Any) -> Any:
    """The value, converted by pydantic.

    Args:
        path: Name of the value in the configuration; empty for a complete configuration.
        adapter: Its type.
        value: The value.

    Raises:
        ConfigError: If it is of the wrong type.
    """
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        found = error.errors(include_url=False)
        for one in found:
            if isinstance(cause := one.get("ctx", {}).get("error"), UserError):  # raised by the type's own checks
                raise cause from None
        raise _explained(path, value, found) from error


def _explained(path: str, value: Any, found: Sequence[Any]) -> ConfigError:
    """The error for the first value that is wrong; a value of several types has an error for each."""
    first, where = found[0], _where(path, value, found[0])
    if first["type"] == "missing":
        return ConfigError(f"{where} is required", hint=f"add {where}=...")
    expected = " or ".join(dict.fromkeys(_expected(one) for one in found if _where(path, value, one) == where))
    given = "null" if first["input"] is None else repr(first["input"])
    return ConfigError(f"{where}={given} is not valid: expected {expected}", hint=f"set {where} to {expected}")


def _where(path: str, value: Any, one: Any) -> str:
    """The name of a wrong value: pydantic's location without the members of unions, which are no keys."""
    names, inside = [path] if path else [], value
    for part in one["loc"]:
        if (isinstance(inside, Mapping) and part in inside) or (
            isinstance(inside, Sequence) and isinstance(part, int) and part < len(inside)
        ):
            inside = inside[part]
        elif one["type"] != "missing":
            continue
        names.append(str(part))
    return ".".join(names)


def _expected(one: Any) -> str:
    if one["type"] == "literal_error":
        return str(one["ctx"]["expected"])
    name = one["type"].split("_")[0]
    return _EXPECTED.get(name, str(one["msg"]).lower())
