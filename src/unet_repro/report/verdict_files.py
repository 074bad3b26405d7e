"""Verdicts in the terminal, and as JSON, CSV and Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from unet_repro.files import counted, csv_text, markdown_table, write_texts
from unet_repro.report.verdicts import Plain, is_tested, parts_of
from unet_repro.trial.looks import LOOKS
from unet_repro.trial.sentences import EARLY_SUPPORT, digits_for, signed

_STYLES = {
    "supported": "green",
    "refuted": "red",
    "not testable here": "magenta",
    "refused": "magenta",
    "open": "yellow",
}
VERDICT_COLUMNS = (
    "part", "word", "contrast", "contrast_word", "kind", "measure", "unit", "margin", "estimate", "low", "high",
    "error", "degrees", "p_for", "p_against", "level", "look", "replicates", "replaced", "scale", "data", "variant",
)  # fmt: skip


def contrast_rows(trials: Iterable[Mapping[str, Any]]) -> list[Plain]:
    """One row for every contrast; an exact part has one row with its extreme value."""
    rows = []
    for trial in trials:
        shared = {"scale": trial["scale"], "data": trial["data"], "variant": trial["variant"]}
        for part in parts_of(trial):
            about = {"part": part["id"], "word": part["word"], "replaced": len(part["not_started"]), **shared}
            if (exact := part["exact"]) is not None:
                rows.append({**about, "measure": exact["title"], "margin": exact["bound"], "estimate": exact["value"],
                             "replicates": exact["runs"]})  # fmt: skip
            for one in part["contrasts"]:
                figure = one["figure"] or {}
                rows.append({
                    **about,
                    **{key: one[key] for key in ("kind", "unit", "margin", "p_for", "p_against", "level", "look")},
                    "contrast": one["name"], "contrast_word": one["word"], "measure": one["title"],
                    "estimate": figure.get("mean"), "replicates": len(figure.get("seeds", ())),
                    **{key: figure.get(key) for key in ("low", "high", "error", "degrees")},
                })  # fmt: skip
    return rows


def to_markdown(trials: Iterable[Mapping[str, Any]], *, how_sure: bool = True) -> str:
    """For each trial its conclusion, a table with a row for each part, and the state of a running suite.

    Args:
        trials: The trials.
        how_sure: Whether the table has a column for that. Without it, notes below the table say what qualifies the
            findings, and a further trial before its first interim analysis has one line in place of its table.
    """
    texts = [
        _trial_text(trial, how_sure) if how_sure or not place or is_tested(trial) else _first_estimates(trial)
        for place, trial in enumerate(trials)
    ]
    return "\n\n".join(texts) + "\n"


def _trial_text(trial: Mapping[str, Any], how_sure: bool) -> str:
    head = ["question", "verdict", "what was found", *(["how sure"] if how_sure else [])]
    rows = []
    for part in parts_of(trial):
        short = "" if part["short"] == part["question"] else part["short"]
        found = [part["found"], part["sure"]] if how_sure else [short]
        rows.append([f"**{part['id']}** {part['question']}", f"**{part['word']}**", *found])
    table = markdown_table(head, rows)
    notes = [] if how_sure else _notes(parts_of(trial))
    state = trial["state"]
    if state is not None and state["missing"]:
        notes.append(
            f"The trial is in progress: {state['progress']} {state['missing']} results are missing; one training run "
            "can provide several of them."
        )
    return "\n\n".join(filter(None, [f"**{trial['lead']}**", trial["banner"], table, " ".join(notes)]))


def _first_estimates(trial: Mapping[str, Any]) -> str:
    """The estimates of a trial before its first interim analysis, in one line."""
    found = [
        f"{part['id']}, {one['name']}: {with_interval(one['figure'], one['margin'])} {one['unit']}, "
        f"{counted(len(one['figure']['seeds']), 'replicate')}"
        for part in parts_of(trial)
        for one in part["contrasts"]
        if one["figure"] is not None
    ]
    head = f"At {trial['scope']}, no claim has been tested yet: a test needs {LOOKS[0]} replicates."
    return " ".join([head, *([f"Estimates so far, with 95 % interval: {'; '.join(found)}."] if found else [])])


def _notes(parts: Iterable[Mapping[str, Any]]) -> list[str]:
    """What qualifies the findings, each with the questions that it is about."""
    notes: dict[str, list[str]] = {}
    for part in parts:
        if part["word"] == "pending":
            continue
        early = any(one["word"] == "supported" and one["look"] < len(LOOKS) for one in part["contrasts"])
        for note in [*part["qualifiers"], *([EARLY_SUPPORT] if early else [])]:
            notes.setdefault(note, []).append(part["id"])
    return [f"{', '.join(ids)}: {note}." for note, ids in notes.items()]


def write_verdicts(trials: Sequence[Mapping[str, Any]], made: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes ``verdicts.json``, ``verdicts.csv`` and ``verdicts.md``.

    Raises:
        RunError: If they cannot be written.
    """
    content = json.dumps({"made": made, "trials": list(trials)}, indent=1, allow_nan=False)
    return write_texts(folder, {"verdicts.json": content, **verdict_texts(trials)})


def verdict_texts(trials: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The content of ``verdicts.csv`` and ``verdicts.md``."""
    rows = csv_text(contrast_rows(trials), VERDICT_COLUMNS, digits=6)
    return {"verdicts.csv": rows, "verdicts.md": to_markdown(trials)}


def print_verdicts(trials: Iterable[Mapping[str, Any]]) -> None:
    """Prints the word and the finding of every part, one table for each trial, with the published record beside it."""
    console = Console()
    for trial in trials:
        table = Table(title=f"Verdicts: {trial['scope']}", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        recorded = any(part["published"] for part in parts_of(trial))
        for name in ("question", "here", *(["the record"] if recorded else [])):
            table.add_column(name, overflow="fold")
        for part in parts_of(trial):
            cells = [f"{part['id']} {part['question']}", _styled(part["word"]) + _estimates(part)]
            if recorded:
                known = part["published"]
                cells.append(f"{_styled(known['word'])}: {_plain(known['found'])}" if known else "-")
            table.add_row(*cells)
        console.print(table)
        console.print(f"{trial['lead']} {trial['banner']}".strip())


def _styled(word: str) -> str:
    return f"[{_STYLES.get(word, 'dim')}]{word}[/]"


def _estimates(part: Mapping[str, Any]) -> str:
    """The figures of a part's contrasts, in as few words as possible."""
    lines = [
        f"\n{one['name']} {with_interval(one['figure'], one['margin'])}"
        for one in part["contrasts"]
        if one["figure"] is not None
    ]
    if part["exact"] is not None and part["exact"]["value"] is not None:
        lines.append(f"\n{part['exact']['value']:.2g} (limit {part['exact']['bound']:g})")
    return _plain("".join(lines))


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def with_interval(figure: Mapping[str, Any], margin: float) -> str:
    """A figure's mean and its interval, if any."""
    ends = None if figure["low"] is None else (figure["low"], figure["high"])
    digits = digits_for(ends, margin)
    interval = f" [{signed(ends[0], digits)}, {signed(ends[1], digits)}]" if ends else ""
    return f"{signed(figure['mean'], digits)}{interval}"
