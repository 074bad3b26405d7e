"""Verdicts on the runs of a folder: in the terminal, and as JSON, CSV and Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from unet_repro.files import csv_text, markdown_table
from unet_repro.runs.folder import write_atomically
from unet_repro.sweep.ledger import Entry, Ledger
from unet_repro.trial.claims import CLAIMS
from unet_repro.trial.finished_runs import Run, finished
from unet_repro.trial.measures import MEASURES
from unet_repro.trial.verdict import Effect, Verdict, judge

_STYLES = {"supported": "green", "refuted": "red", "inconclusive": "yellow", "refused": "magenta", "pending": "dim"}


@dataclass(frozen=True)
class Judged:
    """A claim's verdict on one data set at one scale.

    Attributes:
        verdict: The verdict.
        data: Name of the data source.
        scale: Scale of the runs.
        variant: Overrides that the user added to all runs.
        label: The scope of the verdict: scale with width and steps, and data.
        comparison: Id of the comparison; empty if no runs were planned.
    """

    verdict: Verdict
    data: str
    scale: str
    variant: str
    label: str
    comparison: str


def judge_all(runs_dir: Path, experiments: Sequence[str] | None = None) -> list[Judged]:
    """Judges all claims that have runs, on each planned data set and scale, corrected for their number.

    Args:
        runs_dir: Folder of the runs.
        experiments: Names of the comparisons whose claims are judged; ``None`` for all in the ledger.
    """
    ledger = Ledger(runs_dir)
    known = [name for name in ledger.experiments() if experiments is None or name in experiments]
    places: dict[tuple[str, str, str], dict[str, list[Entry]]] = {}
    for claim in CLAIMS:
        for entry in ledger.read(claim.experiment) if claim.experiment in known else []:
            place = places.setdefault((entry.data, entry.scale, entry.variant), {})
            place.setdefault(claim.id, []).append(entry)
    return [judged for place, planned in places.items() for judged in _judge_place(runs_dir, place, planned)]


def _judge_place(
    runs_dir: Path, place: tuple[str, str, str], planned: Mapping[str, Sequence[Entry]]
) -> Iterable[Judged]:
    # If several comparisons have one name (the data or the base setting have changed), the newest is used.
    newest = {claim_id: entries[-1].comparison for claim_id, entries in planned.items()}
    arms = {
        claim_id: finished([entry for entry in entries if entry.comparison == newest[claim_id]], runs_dir)
        for claim_id, entries in planned.items()
    }
    claims = {claim.id: claim for claim in CLAIMS}
    verdicts = judge({claim_id: (claims[claim_id], runs) for claim_id, runs in arms.items()})
    data, scale, variant = place
    for claim_id, verdict in verdicts.items():
        runs = [run for of_arm in arms[claim_id].values() for run in of_arm]
        yield Judged(verdict, data, scale, variant, _label(data, scale, variant, runs), newest[claim_id])


def _label(data: str, scale: str, variant: str, runs: Sequence[Run]) -> str:
    """The scale with its numbers, and the data."""
    size = f" (width {runs[0].config['model']['width']}, {runs[0].outcome['steps']} steps)" if runs else ""
    return ", ".join(part for part in (f"scale {scale}{size}", data, variant) if part)


def as_dict(judged: Judged) -> dict[str, Any]:
    """A verdict as plain containers, for JSON and the page."""
    verdict, claim = judged.verdict, judged.verdict.claim
    guard = verdict.guard
    return {
        "claim": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "experiment": claim.experiment,
        "comparison": comparison_id(claim.experiment, judged.data, judged.scale, judged.variant),
        "verdict": verdict.word,
        "label": judged.label,
        "reason": verdict.reason,
        "rule": claim.rule,
        "scale": judged.scale,
        "data": judged.data,
        "seeds": len(verdict.seeds),
        "seeds_needed": verdict.seeds_needed,
        "images": verdict.images,
        "p_for": verdict.p_for,
        "p_against": verdict.p_against,
        "p_holm": verdict.p_holm,
        "effects": [_effect_dict(effect) for effect in verdict.effects],
        "guard": {
            "fair": guard.fair if guard else None,
            "findings": [*guard.unfair, *guard.labels] if guard else [],
        },
    }


def comparison_id(experiment: str, data: str, scale: str, variant: str) -> str:
    """The id of a comparison on the page."""
    return "/".join(part for part in (experiment, data, scale, variant) if part)


def _effect_dict(effect: Effect) -> dict[str, Any]:
    measure, contrast, found = MEASURES[effect.contrast.measure], effect.contrast, effect.found
    return {
        "name": contrast.name,
        "measure": measure.title,
        "unit": measure.unit,
        "expects": contrast.expects,
        "estimate": found.mean,
        "low": found.low,
        "high": found.high,
        "margin": contrast.margin or None,
        "p": min(effect.p_for, effect.p_against),
        "p_for": effect.p_for,
        "p_against": effect.p_against,
        "primary": contrast.primary,
        "outcome": effect.outcome,
    }


def decisive(verdict: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The decisive effect: the strongest evidence of a refutation, else the weakest evidence of support."""
    primary: list[Mapping[str, Any]] = [effect for effect in verdict["effects"] if effect["primary"]]
    if verdict["verdict"] == "refuted":
        return min(primary, key=lambda effect: float(effect["p_against"]))
    return max(primary, key=lambda effect: float(effect["p_for"]), default=None)


_COLUMNS = (
    "claim", "verdict", "p_holm", "seeds", "seeds_needed", "images", "scale", "data", "primary", "measure", "contrast",
    "expects", "margin", "effect", "low", "high", "unit", "outcome", "p_for", "p_against",
)  # fmt: skip


def to_csv(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """One row for every effect of every verdict."""
    rows = (
        {**effect, "contrast": effect.get("name"), "effect": effect.get("estimate"), **verdict}
        for verdict in verdicts
        for effect in verdict["effects"] or [{}]
    )
    return csv_text(rows, _COLUMNS, digits=6)


def to_markdown(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """A table with each verdict and its decisive effect."""
    rows = []
    for verdict in verdicts:
        seeds = str(verdict["seeds"])
        if verdict["verdict"] == "inconclusive":
            seeds += f" ({verdict['seeds_needed'] or 'more images'} needed)"
        claim = f"**{verdict['claim']}** {verdict['statement']}"
        rows.append([claim, f"**{verdict['verdict']}**", _effect_text(verdict), seeds, verdict["label"]])
    return markdown_table(["claim", "verdict", "effect [95 % interval]", "seeds", "holds for"], rows) + "\n"


def _effect_text(verdict: Mapping[str, Any]) -> str:
    effect = decisive(verdict)
    if effect is None:
        return str(verdict["reason"])
    return f"{effect['measure']}, {effect['name']}: {with_interval(effect)}"


def with_interval(effect: Mapping[str, Any]) -> str:
    """An effect's estimate and its interval, if any."""
    interval = "" if effect["low"] is None else f" [{effect['low']:+.3g}, {effect['high']:+.3g}]"
    return f"{effect['estimate']:+.3g}{interval}"


def write_verdicts(verdicts: Sequence[Mapping[str, Any]], made: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes ``verdicts.json``, ``verdicts.csv`` and ``verdicts.md``.

    Raises:
        RunError: If they cannot be written.
    """
    texts = {
        "verdicts.json": json.dumps({"made": made, "verdicts": verdicts}, indent=1, allow_nan=False),
        "verdicts.csv": to_csv(verdicts),
        "verdicts.md": to_markdown(verdicts),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return [folder / name for name in texts]


def print_verdicts(verdicts: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Prints the verdicts, one table for each scale and data set."""
    console = console or Console()
    for label in dict.fromkeys((verdict["scale"], verdict["data"]) for verdict in verdicts):
        of_label = [verdict for verdict in verdicts if (verdict["scale"], verdict["data"]) == label]
        title = next((v["label"] for v in of_label if v["seeds"]), of_label[0]["label"])
        table = Table(title=f"Verdicts: {title}", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("claim", "verdict", "decisive effect", "seeds"):
            table.add_column(name, overflow="fold")
        for verdict in of_label:
            word = verdict["verdict"]
            seeds = str(verdict["seeds"])
            if word == "inconclusive":
                seeds += f" of {verdict['seeds_needed'] or 'more images'}"
            text = f"{verdict['claim']} {verdict['statement']}"
            table.add_row(text, f"[{_STYLES[word]}]{word}[/]", _effect_text(verdict).replace("[", r"\["), seeds)
        console.print(table)
