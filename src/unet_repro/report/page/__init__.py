"""The report as one self-contained HTML file: it needs no server, network or library."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

# In the order of inclusion; all scripts share one scope.
SCRIPTS = (
    "dom", "choices", "plot", "chart", "forest", "verdicts", "curves", "scores", "images", "comparison",
    "gallery", "supplement", "page",
)  # fmt: skip


def render(data: Mapping[str, Any]) -> str:
    """Renders the complete document.

    Args:
        data: The result of ``report.page_data``: JSON-serialisable, finite numbers, missing numbers ``None``.

    Returns:
        HTML with styles, scripts and data inlined. Text in the data cannot close the enclosing element.

    Raises:
        ValueError: If a number is not finite.
    """
    folder = files(__name__)
    document = (folder / "page.html").read_text(encoding="utf-8")
    styles = (folder / "page.css").read_text(encoding="utf-8")
    scripts = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    written = json.dumps(dict(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    # The data are inserted last, so that their text is not searched for placeholders.
    for place, content in (("/* styles */", styles), ("/* scripts */", scripts), ("/* data */", written)):
        before, _, after = document.partition(place)
        document = before + content + after
    return document
