"""Wrong values are named with what was expected, in plain words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from unet_repro.config_values import validated
from unet_repro.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Outer:
    path: Path
    objects: bool | list[Literal["a", "b"]] = True
    memory: float | Literal["auto"] = "auto"
    inner: Inner = Inner()  # frozen


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "path is required"),
        ({"path": None}, "path=null is not valid: expected a path"),
        ({"path": "a", "objects": 3}, "objects=3 is not valid: expected true or false or a list, such as [1,2]"),
        ({"path": "a", "objects": ["c"]}, "objects"),
        ({"path": "a", "memory": "x"}, "memory='x' is not valid: expected a number or 'auto'"),
        ({"path": "a", "inner": {"size": 1.5}}, "inner.size=1.5 is not valid: expected a whole number"),
        ({"path": "a", "inner": 2}, "inner=2 is not valid: expected a group of settings"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(value, says):
    with pytest.raises(ConfigError) as caught:
        validated("", TypeAdapter(Outer), value)
    assert says in caught.value.what
    assert caught.value.hint


def test_a_wrong_item_is_named_by_its_place():
    with pytest.raises(ConfigError, match=r"data\.channels\.1=2\.5 is not valid: expected a whole number"):
        validated("data.channels", TypeAdapter(list[int]), [1, 2.5])


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
TYPES: tuple[Any, ...] = (
    int, float, bool, str, Path, tuple[int, int], dict[str, float], int | None, str | list[int | str], Outer,
)  # fmt: skip


@given(hint=st.sampled_from(TYPES), value=ANY)
def test_no_value_of_any_type_shows_the_words_of_the_library(hint, value):
    said = ""
    try:
        validated("key", TypeAdapter(hint), value)
    except ConfigError as error:
        said = str(error)
    assert "input should" not in said
    assert "pydantic" not in said
