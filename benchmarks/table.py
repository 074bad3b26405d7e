"""Tables of all results on record, into ``benchmarks/README.md``: ``python benchmarks/table.py``.

Where ``results/before/`` holds the same benchmark of an earlier commit, its ratios stand beside those of now.
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
START, END = "<!-- results: written by benchmarks/table.py -->", "<!-- end of results -->"

Content = dict[str, Any]


def markdown(content: Content, before: Content | None = None) -> str:
    """One benchmark as a titled table."""
    machine = content["machine"]
    lines = [f"### {content['title']}", ""]
    head = ["", "median", "quartiles", "ratio", "to"]
    goals = any(row["goal"] for row in content["rows"])
    earlier = {(row["item"], row["to"]): row for row in (before or {}).get("rows", [])}
    head += ["goal"] * goals + ["ratio before"] * bool(earlier)
    lines += [_line(head), _line(["---"] * len(head))]
    for row in content["rows"]:
        spread = "" if row["spread"] is None else " to ".join(_number(value) for value in row["spread"])
        cells = [row["item"], f"{_number(row['value'])} {row['unit']}".strip(), spread, _ratio(row), row["to"]]
        cells += [_judged(row)] * goals + [_ratio(earlier.get((row["item"], row["to"]), {}))] * bool(earlier)
        lines.append(_line(cells))
    told = f"`{content['command']}`, commit {content['commit']}, {machine['cores']} cores, {machine['threads']} threads"
    told += f", {machine['gpu']}" if "gpu" in machine else ""
    told += f", {machine['processor']}, torch {machine['torch']}"
    limits = {"fp32_flops": "fp32 matrix product {:.0f} GFLOP/s", "copy_bytes": "copy {:.1f} GB/s read and written",
              "cuda_bf16_flops": "bf16 matrix product {:.0f} GFLOP/s"}  # fmt: skip
    told += "".join(f", {limits[name].format(value / 1e9)}" for name, value in content["limits"].items())
    return "\n".join([*lines, "", f"{told}.", ""])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def _ratio(row: Content) -> str:
    return "" if row.get("ratio") is None else f"{_number(row['ratio'])}"


def _judged(row: Content) -> str:
    """The goal, and whether it is met."""
    if not row["goal"]:
        return ""
    sign, wanted = row["goal"].split()
    met = row["ratio"] >= float(wanted) if sign == ">=" else row["ratio"] <= float(wanted)
    return f"{row['goal'].replace('>=', '≥').replace('<=', '≤')}: {'met' if met else '**missed**'}"


def main() -> None:
    tables = []
    for file in sorted((HERE / "results").glob("*.json")):
        before = HERE / "results" / "before" / file.name
        tables.append(
            markdown(json.loads(file.read_text()), json.loads(before.read_text()) if before.exists() else None)
        )
    readme = HERE / "README.md"
    text = readme.read_text()
    head, tail = text.split(START)[0], text.split(END)[1]
    readme.write_text(head + START + "\n" + "\n".join(tables) + END + tail)


if __name__ == "__main__":
    main()
