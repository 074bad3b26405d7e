"""Results that are kept: small tables and figures in ``experiments/<name>/results/``, and the README's table."""

import re
from collections.abc import Sequence
from pathlib import Path

from unet_repro.errors import DataError
from unet_repro.report.collect import ArmRow
from unet_repro.report.figures import draw_comparison
from unet_repro.report.table import to_csv, to_markdown
from unet_repro.runs.folder import RunFolder, write_atomically

BEGIN, END = "<!-- results: written by `unet-repro report --publish` -->", "<!-- end of results -->"


def publish(runs_dir: Path, rows: Sequence[ArmRow], experiments_dir: Path, readme: Path) -> list[Path]:
    """Writes ``<data>-<scale>.csv``, ``.md`` and ``.png`` for each comparison, and the table into the README.

    Comparisons with added overrides are not published: they are somebody's own question.

    Args:
        runs_dir: Where the runs lie.
        rows: Arms of any comparisons; those without finished runs are left out.
        experiments_dir: The folder ``experiments``.
        readme: A file with the two marks between which the table goes.

    Returns:
        What was written.

    Raises:
        DataError: If the README lacks the marks.
    """
    groups: dict[tuple[str, str, str], list[ArmRow]] = {}
    for row in rows:
        if row.run_ids and not row.variant and row.experiment != "single":
            groups.setdefault((row.experiment, row.data, row.scale), []).append(row)
    written = []
    for (experiment, data, scale), arms in groups.items():
        stem = experiments_dir / experiment / "results" / f"{data}-{scale}"
        draw_comparison(runs_dir, arms, stem.with_suffix(".png"))
        write_atomically(stem.with_suffix(".csv"), to_csv(arms))
        write_atomically(stem.with_suffix(".md"), f"{to_markdown(arms)}\n{record(runs_dir, arms)}\n")
        written += [stem.with_suffix(suffix) for suffix in (".csv", ".md", ".png")]
    kept = [row for arms in groups.values() for row in arms]
    renew(readme, f"{to_markdown(kept)}\n{record(runs_dir, kept)}", begin=BEGIN, end=END)
    return [*written, readme]


def record(runs_dir: Path, rows: Sequence[ArmRow]) -> str:
    """What made these rows: command, seeds, commit, versions, machine, training time."""
    results = {run_id: RunFolder(runs_dir / run_id).outcome() or {} for row in rows for run_id in row.run_ids}
    names = ",".join(dict.fromkeys(row.experiment for row in rows))
    seeds = ",".join(map(str, sorted({seed for row in rows for seed in row.seeds})))
    data, scale = (",".join(sorted({getattr(row, name) for row in rows})) for name in ("data", "scale"))
    made_by = {key: sorted({str(result["made_by"][key]) for result in results.values()}) for key in _MADE_BY}
    minutes = sum(result["seconds"] for result in results.values()) / 60
    return (
        f"`unet-repro train -m experiment={names} seed={seeds} scale={scale} data={data}`; {len(results)} runs, "
        f"{minutes:.0f} minutes of training in all; "
        + ", ".join(f"{label} {' and '.join(made_by[key])}" for key, label in _MADE_BY.items())
        + ". Mean ± standard deviation over n seeds."
    )


_MADE_BY = {"commit": "commit", "torch": "torch", "device": "on", "machine": "under"}


def renew(readme: Path, text: str, *, begin: str, end: str) -> None:
    """Writes a text in the place of whatever stands between two marks of a file.

    Raises:
        DataError: If the file lacks the marks.
    """
    old = readme.read_text() if readme.exists() else ""
    if begin not in old or end not in old:
        raise DataError(f"{readme} has no place for the results", mend=f"put the lines {begin} and {end} into it")
    inner = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    write_atomically(readme, inner.sub(lambda _: f"{begin}\n{text}\n{end}", old))
