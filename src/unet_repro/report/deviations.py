"""Lists which settings are from the paper, assumed, or deviations, from the comments in ``conf/``."""

import re
from pathlib import Path

# With a colon anywhere; without one only as the first word, since comments also mention the paper elsewhere.
_MARK = re.compile(r"\b(paper|assumed|deviation):|^\s*(paper)\b(?![':])")


def deviations(conf: Path) -> list[dict[str, str]]:
    """Every marked setting, in the order of the files.

    Returns:
        ``kind`` (paper, assumed, deviation), ``where`` (file and key), ``value`` and ``text``, one for each mark.
    """
    found = []
    for path in sorted(conf.rglob("*.yaml")):
        for line in path.read_text().splitlines():
            setting, mark, comment = line.partition("#")
            marks = list(_MARK.finditer(comment))
            if not mark or not marks or marks[0].start() > 1:
                continue
            key, _, value = (part.strip() for part in setting.partition(":"))
            ends = [*(match.start() for match in marks[1:]), len(comment)]
            found += [
                {
                    "kind": match[1] or match[2],
                    "where": f"{path.relative_to(conf)}{': ' if key else ''}{key}",
                    "value": value,
                    "text": comment[match.end() : end].strip(" ;."),
                }
                for match, end in zip(marks, ends, strict=True)
            ]
    return found
