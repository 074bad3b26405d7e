"""The report as one HTML file that needs nothing else: no server, no network, no library."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

# In the order in which they are inlined; they share one scope.
SCRIPTS = (
    "dom", "choices", "plot", "chart", "forest", "verdicts", "curves", "scores", "comparison", "gallery",
    "supplement", "page",
)  # fmt: skip


def render(data: Mapping[str, Any]) -> str:
    """The whole document.

    Args:
        data: What ``report.page_data`` gathers: JSON-able, finite numbers, missing ones ``None``.

    Returns:
        HTML with styles, scripts and data inlined. Text of the data cannot end the element that it lies in.

    Raises:
        ValueError: If a number is not finite.
    """
    folder = files(__name__)
    document = (folder / "page.html").read_text(encoding="utf-8")
    styles = (folder / "page.css").read_text(encoding="utf-8")
    scripts = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    written = json.dumps(dict(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    # The data come last: whatever they say is not searched for places to fill.
    for place, content in (("/* styles */", styles), ("/* scripts */", scripts), ("/* data */", written)):
        before, _, after = document.partition(place)
        document = before + content + after
    return document
