"""An extension of Griffe: examples in docstrings are shown as code wherever they stand."""

import re

from griffe import Extension, Object

_EXAMPLE = re.compile(r"(?:^|\n)((?:>>> .*(?:\n(?!\s*\n).+)*\n?)+)", re.M)


class Doctests(Extension):
    """Fences the lines from ``>>>`` to the next empty line."""

    def on_object(self, *, obj: Object, **_: object) -> None:
        """Called by Griffe for each object that it has loaded."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(
                lambda match: f"\n```pycon\n{match[1].rstrip()}\n```\n", obj.docstring.value
            )
