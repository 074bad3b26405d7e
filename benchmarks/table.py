"""Writes tables of all recorded results to ``benchmarks/README.md``: ``python benchmarks/table.py``.

If ``results/before/`` has the same benchmark of an earlier commit, its ratios are shown too.
"""

import json
from pathlib import Path
from typing import Any

from unet_repro.files import write_between

HERE = Path(__file__).parent
START, END = "<!-- results: written by benchmarks/table.py -->", "<!-- end of results -->"
LIMITS = {
    "fp32_flops": "fp32 {:.0f} GFLOP/s",
    "bf16_flops": "bf16 {:.0f} GFLOP/s",
    "copy_bytes": "copy {:.1f} GB/s read and written",
    "cuda_bf16_flops": "CUDA bf16 matrix product {:.0f} GFLOP/s",
}

Content = dict[str, Any]


def markdown(content: Content, before: Content | None = None) -> str:
    """One benchmark as a titled table."""
    machine = content["machine"]
    lines = [f"### {content['title']}", ""]
    head = ["", "median", "quartiles", "ratio", "to"]
    goals = any(row["goal"] for row in content["rows"])
    earlier = {(row["item"], row["to"]): row for row in (before or {}).get("rows", [])}
    shares = any(row.get("share") for row in content["rows"])
    head += ["goal"] * goals + ["of the limit"] * shares + ["ratio before"] * bool(earlier)
    lines += [_line(head), _line(["---"] * len(head))]
    for row in content["rows"]:
        spread = "" if row["spread"] is None else " to ".join(_number(value) for value in row["spread"])
        cells = [row["item"], f"{_number(row['value'])} {row['unit']}".strip(), spread, _ratio(row), row["to"]]
        cells += [_judged(row)] * goals + [_ratio(row, "share")] * shares
        cells += [_ratio(earlier.get((row["item"], row["to"]), {}))] * bool(earlier)
        lines.append(_line(cells))
    footer = [f"`{content['command']}`", f"commit {content['commit']}", f"{machine['cores']} cores"]
    footer += [f"{machine['threads']} threads", *(machine[key] for key in ("gpu", "processor") if key in machine)]
    footer += [machine["instruction_set"]] if "instruction_set" in machine else []
    footer += [f"torch {machine['torch']}", *_limits(content["limits"])]
    levels = "".join(
        f" {name} ({level['instruction_set']}): {', '.join(_limits(level['limits']))}."
        for name, level in content.get("levels", {}).items()
    )
    return "\n".join([*lines, "", f"{', '.join(footer)}.{levels}", ""])


def _limits(limits: dict[str, float]) -> list[str]:
    found = []
    for name, value in limits.items():
        kind, _, threads = name.partition(", ")
        found.append(LIMITS[kind].format(value / 1e9) + (f" ({threads})" if threads else ""))
    return found


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def _ratio(row: Content, key: str = "ratio") -> str:
    return "" if row.get(key) is None else _number(row[key])


def _judged(row: Content) -> str:
    """The goal, and whether it is reached."""
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
    write_between(HERE / "README.md", "\n".join(tables).rstrip("\n"), begin=START, end=END)


if __name__ == "__main__":
    main()
