"""Publishes results: small tables and figures in ``experiments/<name>/results/``, and the tables of two READMEs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unet_repro.errors import DataError
from unet_repro.files import markdown_table
from unet_repro.report.collect import ArmRow
from unet_repro.report.figures import draw_comparison, draw_verdicts
from unet_repro.report.table import to_csv as arms_to_csv
from unet_repro.report.table import to_markdown
from unet_repro.report.verdicts import to_csv, with_interval
from unet_repro.report.verdicts import to_markdown as verdicts_to_markdown
from unet_repro.runs.folder import RunFolder, write_atomically

BEGIN, END = "<!-- results: written by `unet-repro report --publish` -->", "<!-- end of results -->"


def publish(
    runs_dir: Path, rows: Sequence[ArmRow], data: Mapping[str, Any], experiments_dir: Path, readme: Path
) -> list[Path]:
    """Writes ``<data>-<scale>.csv``, ``.md`` and ``.png`` of each comparison, and the verdicts.

    The verdicts are written to ``experiments/verdicts-<data>-<scale>.csv`` and ``.png``, as a table to the README, and,
    with a line for each comparison, to the README of ``experiments``. Comparisons with additional overrides are not
    published.

    Args:
        runs_dir: Folder of the runs.
        rows: Arms of any comparisons; those without finished runs are left out.
        data: The data of the page.
        experiments_dir: The folder ``experiments``; its ``README.md`` has the two markers.
        readme: A file with the two markers between which the table is written.

    Returns:
        Paths of the written files.

    Raises:
        DataError: If a README lacks the markers.
    """
    verdicts = [verdict for verdict in data["verdicts"] if verdict["seeds"] and verdict["comparison"].count("/") == 2]
    groups: dict[tuple[str, str, str], list[ArmRow]] = {}
    for row in rows:
        if row.run_ids and not row.variant and row.experiment != "single":
            groups.setdefault((row.experiment, row.data, row.scale), []).append(row)
    commands = {comparison["id"]: comparison["command"] for comparison in data["comparisons"]}
    written = []
    for (experiment, source, scale), arms in groups.items():
        stem = experiments_dir / experiment / "results" / f"{source}-{scale}"
        own = [verdict for verdict in verdicts if verdict["comparison"] == f"{experiment}/{source}/{scale}"]
        references = seed_run_table(data["seed_runs"], source) if experiment == "seed_runs" else ""
        parts = [
            *(_verdict_text(verdict) for verdict in own),
            f"{to_markdown(arms)}\nMean ± standard deviation over n seeds.\n",
            references,
            record(runs_dir, arms, commands[f"{experiment}/{source}/{scale}"]),
        ]
        draw_comparison(runs_dir, arms, stem.with_suffix(".png"))
        write_atomically(stem.with_suffix(".csv"), arms_to_csv(arms))
        write_atomically(stem.with_suffix(".md"), "\n".join(part for part in parts if part) + "\n")
        written += [stem.with_suffix(suffix) for suffix in (".csv", ".md", ".png")]
    for source, scale in dict.fromkeys((verdict["data"], verdict["scale"]) for verdict in verdicts):
        of_place = [v for v in verdicts if (v["data"], v["scale"]) == (source, scale)]
        path = experiments_dir / f"verdicts-{source}-{scale}.csv"
        write_atomically(path, to_csv(of_place))
        pictures = draw_verdicts(of_place, experiments_dir, stem=path.stem, suffixes=(".png",))
        written += [path, *pictures]
    kept = [row for arms in groups.values() for row in arms]
    renew(
        readme,
        f"{verdicts_to_markdown(verdicts)}\n{record(runs_dir, kept, data['made']['command'])}",
        begin=BEGIN,
        end=END,
    )
    renew(experiments_dir / "README.md", _index(data, groups, verdicts), begin=BEGIN, end=END)
    return [*written, experiments_dir / "README.md", readme]


def _verdict_text(verdict: Mapping[str, Any]) -> str:
    """A verdict as text, with its rule, the findings of the guard, and every effect."""
    lines = [
        f"**{verdict['claim']}: {verdict['verdict']}** ({verdict['label']}). {verdict['statement']}",
        f"{verdict['reason'][0].upper()}{verdict['reason'][1:]}.",
        f"Rule: {verdict['rule']}",
        *(f"Differs: {finding}." for finding in verdict["guard"]["findings"]),
    ]
    rows = [
        [
            f"{effect['measure']}: {effect['name']}",
            "primary" if effect["primary"] else "secondary",
            f"{with_interval(effect)} {effect['unit']}",
            f"{effect['margin'] or 0:g}",
            *(f"{effect[side]:.2g}" for side in ("p_for", "p_against")),
        ]
        for effect in verdict["effects"]
    ]
    head = ["effect", "", "mean [95 % interval]", "margin", "p for", "p against"]
    return "\n\n".join([*lines, markdown_table(head, rows)]) + "\n"


def seed_run_table(seed_runs: Sequence[Mapping[str, Any]], source: str) -> str:
    """The earlier reproduction's results next to this project's, for one data set."""
    rows = []
    for run in seed_runs:
        if run["data"] == source and run["seeds"]:
            stepped = _interval(run, "stepped", "stepped_low", "stepped_high")
            iou = _interval(run, "iou", "low", "high")
            rows.append([run["arm"], f"{run['reference']:g}", stepped, iou, run["seeds"], run["remark"]])
    head = ["seed run", "reference (stepped)", "here (stepped)", "here (IoU)", "seeds", "remark"]
    return markdown_table(head, rows) + "\n"


def _interval(row: Mapping[str, Any], mean: str, low: str, high: str) -> str:
    return f"{row[mean]:.3f}" + ("" if row[low] is None else f" [{row[low]:.3f}, {row[high]:.3f}]")


def _index(
    data: Mapping[str, Any],
    groups: Mapping[tuple[str, str, str], Sequence[ArmRow]],
    verdicts: Sequence[Mapping[str, Any]],
) -> str:
    """A line for each published comparison: question, command, verdict, results."""
    about = {comparison["id"]: comparison for comparison in data["comparisons"]}
    words = {verdict["comparison"]: f"{verdict['claim']} {verdict['verdict']}" for verdict in verdicts}
    rows = []
    for experiment, source, scale in groups:
        name = f"{experiment}/{source}/{scale}"
        kept = f"[{source}, {scale}]({experiment}/results/{source}-{scale}.md)"
        link, command = f"[{experiment}]({experiment}/README.md)", f"`{about[name]['command']}`"
        rows.append([link, about[name]["question"], command, words.get(name, ""), kept])
    return markdown_table(["comparison", "question", "command", "verdict", "kept results"], rows)


def record(runs_dir: Path, rows: Sequence[ArmRow], command: str) -> str:
    """The provenance of these rows: command, commit, versions, machine, training time."""
    results = {run_id: RunFolder(runs_dir / run_id).outcome() or {} for row in rows for run_id in row.run_ids}
    made_by = {key: sorted({str(result["made_by"][key]) for result in results.values()}) for key in _MADE_BY}
    minutes = sum(result["seconds"] for result in results.values()) / 60
    return (
        f"`{command}`; {len(results)} runs, {minutes:.0f} minutes of training in all; "
        + ", ".join(f"{label} {' and '.join(made_by[key])}" for key, label in _MADE_BY.items())
        + "."
    )


_MADE_BY = {"commit": "commit", "torch": "torch", "device": "on", "machine": "under"}


def renew(readme: Path, text: str, *, begin: str, end: str) -> None:
    """Replaces the text between two markers of a file.

    Raises:
        DataError: If the file lacks the markers.
    """
    old = readme.read_text() if readme.exists() else ""
    if begin not in old or end not in old:
        raise DataError(f"{readme} has no markers for the results", hint=f"add the lines {begin} and {end}")
    inner = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    write_atomically(readme, inner.sub(lambda _: f"{begin}\n{text}\n{end}", old))
