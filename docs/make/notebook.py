"""A notebook as a page of Markdown, with its pictures beside it."""

import base64
import json
from pathlib import Path


def markdown_of(notebook: Path, folder: Path) -> str:
    """The cells and outputs of a notebook.

    Args:
        notebook: A file ``.ipynb``.
        folder: Where its pictures are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    blocks = []
    for number, cell in enumerate(json.loads(notebook.read_text())["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(source)
            continue
        blocks.append(f"```python\n{source}\n```")
        printed = ""
        for place, output in enumerate(cell["outputs"]):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{notebook.stem}-{number}-{place}.png"
                (folder / name).write_bytes(base64.b64decode(data["image/png"]))
                blocks.append(f"![Output of the code above]({name})")
            else:
                printed += "".join(output.get("text", data.get("text/plain", [])))
        if printed:
            blocks.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(blocks) + "\n"
