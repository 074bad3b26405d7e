"""The trial for readers: runs on disk or of the record, judged, with conclusion, scope and state in words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unet_repro.conf_files import title
from unet_repro.report.credits import TITLES
from unet_repro.report.record import RecordOfScale, published_record, scales_of
from unet_repro.runs.ledger import Entry, Ledger
from unet_repro.trial.claims import EXPERIMENTS
from unet_repro.trial.contrasts import Contrast, Words
from unet_repro.trial.judge import judge
from unet_repro.trial.looks import FIRST_SEED, LOOKS
from unet_repro.trial.measures import MEASURES
from unet_repro.trial.results import UNSETTLED, ContrastResult, PartResult, Trial
from unet_repro.trial.run_record import RunRecord, records_of, rounded
from unet_repro.trial.sentences import capital, seems_better, signed

Plain = dict[str, Any]
_LEFT, _STAYS = "not decided yet", f"not decided by {LOOKS[-1]} replicates"
_NAMED = 2  # differences that a short finding names; of more it has the smallest and the largest
PAPER = 64  # width of the paper's network
TOYS = {
    "smoke": "This is a quick check that everything runs. Networks this small have learned nothing: no number on this "
    "page is a result, and nothing is judged.",
    "cpu": "These networks are toys: narrow and stopped early. The numbers show how the comparisons behave at the "
    "beginning of a training; they are not verdicts on the U-Net.",
}


def judged_on_disk(runs_dir: Path, experiments: Sequence[str] | None = None) -> list[Plain]:
    """Judges the runs of a folder, for each data set, scale and set of overrides; the published record beside them.

    Args:
        runs_dir: Folder of the runs.
        experiments: Names of the comparisons; ``None`` for all.
    """
    ledger = Ledger(runs_dir)
    places: dict[tuple[str, str, str], list[Entry]] = {}
    for experiment in EXPERIMENTS if experiments is None else experiments:
        for entry in ledger.newest(experiment) if experiment in EXPERIMENTS else []:
            places.setdefault(entry.conditions, []).append(entry)
    published = published_findings()
    found = []
    for (_, scale, variant), entries in places.items():
        records = records_of([replace(entry, variant="") for entry in entries], runs_dir)
        if records:
            # Entries of one place have one name of the data; other content has another ``comparison``.
            found.append(in_context(judge(records, scale), records, variant=variant, published=published))
    return found


def judged_record(folder: Path) -> Plain | None:
    """Judges the record of one scale; ``None`` without runs."""
    records = RecordOfScale(folder).records()
    return in_context(judge(records, folder.name), records) if records else None


def published_findings() -> dict[str, Plain]:
    """Part -> ``word``, ``found``, ``scope`` in the published record, of the most telling scale that has judged it."""
    found: dict[str, Plain] = {}
    record = published_record()
    for scale in scales_of(record):
        for part in parts_of(judged_record(record / scale) or {"claims": []}):
            if part["word"] != "pending":
                said = part["found"].replace(f"{capital(part['word'])}: ", "")  # the word stands before it
                found.setdefault(part["id"], {"word": part["word"], "found": capital(said), "scope": part["scope"]})
    return found


def in_context(
    trial: Trial, records: Sequence[RunRecord], *, variant: str = "", published: Mapping[str, Plain] | None = None
) -> Plain:
    """The trial's results with what a reader needs around them.

    Returns:
        ``Trial.as_dict`` with finite numbers, and ``variant``, ``scope``, ``banner``, ``lead``, ``judged`` (whether the
        scale has verdicts), ``state`` of a sequential suite or ``None``, and in each part ``short``, ``note`` and
        ``published``.
    """
    plain = rounded(trial.as_dict(), digits=None)
    for part in parts_of(plain):
        result = trial.parts[part["id"]]
        for one, contrast in zip(part["contrasts"], result.part.contrasts, strict=True):
            _keep_within_bounds(one["figure"], contrast)
        part |= {
            "short": in_short(result),
            "note": result.part.note,
            "published": (published or {}).get(part["id"]),
        }
    judged = any(part["word"] != "no verdict" for part in parts_of(plain))
    banner = TOYS.get(trial.scale, "")
    if trial.data == "synthetic":
        banner = f"{banner} The images are synthetic.".strip()
    return {
        **plain,
        "variant": variant,
        "scope": _scope(records, variant),
        "banner": banner,
        "judged": judged,
        "state": _state(trial, records),
        "lead": _lead(plain, records, variant, judged=judged),
    }


def _keep_within_bounds(figure: Plain | None, contrast: Contrast) -> None:
    """Cuts the interval of a difference of bounded measures where the difference itself ends, at +-1 or +-2."""
    if figure is not None and figure["low"] is not None and MEASURES[contrast.measure].bounded:
        reach = sum(term.weight for term in contrast.terms if term.weight > 0)
        figure |= {"low": max(figure["low"], -reach), "high": min(figure["high"], reach)}


def in_short(result: PartResult) -> str:
    """The finding of a part in one sentence, with its differences; its question before the first look."""
    words, premise = result.part.words, result.part.premise
    if result.word == "refused":
        return f"Refused: {result.unfair[0]}."
    if result.word == "open" and premise is not None and result.premise_holds is False:
        return f"Not testable so far: {premise.fails}."
    if result.word in ("pending", "no verdict"):
        return result.part.question
    if result.part.exact is not None:
        clause = words.supported if result.word == "supported" else words.refuted
        figure = "" if result.part.exact.above else f" (largest difference {result.exact:.2g})"
        return f"{capital(clause)}{figure}."
    left = _STAYS if result.final else _LEFT
    clauses: dict[str, list[ContrastResult]] = {}
    for one in result.contrasts:
        own = one.contrast.words or words
        found = {
            "supported": own.supported,
            "refuted": own.opposite if one.opposite else own.refuted,
            "not testable here": f"not testable here: {premise.fails if premise else ''}",
        }
        clauses.setdefault(found.get(one.word, left), []).append(one)
    clauses |= {left: clauses.pop(left)} if left in clauses else {}  # last
    said = [
        text for clause, members in clauses.items() for text in (_clause(clause, members), *_better(members, words))
    ]
    return f"{capital('; '.join(said))}."


def _clause(clause: str, members: Sequence[ContrastResult]) -> str:
    """A clause with its differences: one or two by name, of more the smallest and the largest."""
    if members[0].word == "not testable here":
        return clause
    found = {one.contrast.name: one.figure.estimate.mean for one in members if one.figure is not None}
    unit = members[0].figure.unit if members[0].figure is not None else ""
    if not found:
        return clause
    if len(found) <= _NAMED:
        differences = "; ".join(f"{name}: {signed(mean)} {unit}" for name, mean in found.items())
    else:
        least, most = (signed(mean) for mean in (min(found.values()), max(found.values())))
        differences = f"{len(found)} differences, the smallest {least} {unit}, the largest {most} {unit}"
    return f"{clause} ({differences})"


def _better(members: Sequence[ContrastResult], words: Words) -> list[str]:
    """What some of the supported differences of a clause seem to show beyond it, with their number."""
    found = [
        own.better
        for one in members
        if one.word == "supported" and seems_better(one, own := one.contrast.words or words)
    ]
    number = f" ({len(found)} of {len(members)})" if len(found) < len(members) else ""
    return [f"in these runs {better}{number}" for better in dict.fromkeys(found)]


def parts_of(trial: Mapping[str, Any]) -> list[Plain]:
    """All parts of a trial as plain containers."""
    return [part for claim in trial["claims"] for part in claim["parts"]]


def is_begun(part: Mapping[str, Any]) -> bool:
    """Whether a part has a verdict or a first estimate."""
    return part["word"] != "pending" or any(one["figure"] is not None for one in part["contrasts"])


def is_tested(trial: Mapping[str, Any]) -> bool:
    """Whether a trial has had its first interim analysis."""
    return any(part["exact"] is None and part["word"] not in ("pending", "no verdict") for part in parts_of(trial))


def _scope(records: Sequence[RunRecord], variant: str) -> str:
    """The scale with its numbers, and the data."""
    first, (width, steps) = records[0], _size(records)
    return ", ".join(filter(None, [f"scale {first.scale} (width {width}, {steps} steps)", first.data, variant]))


def _size(records: Sequence[RunRecord]) -> tuple[int | str, int]:
    """Width of the networks, and training steps."""
    settings = records[0].settings
    return settings["model"].get("width", "?"), settings["trainer"]["max_steps"]


def _lead(trial: Mapping[str, Any], records: Sequence[RunRecord], variant: str, *, judged: bool) -> str:
    """The conclusion in two or three sentences."""
    if not judged:
        return "Nothing is judged: this scale only checks that everything runs."
    words = [_outcome(part) for part in parts_of(trial)]
    total = f"The {len(trial['claims'])} claims about the U-Net come down to {len(words)} questions"
    found = [
        f"{words.count(word)} {text}"
        for word, text in (
            ("supported", "answered as claimed"),
            ("refuted", "answered against the claim"),
            ("mixed", "with a different answer for each comparison"),
            ("partly", "settled in part"),
            ("not testable here", "not testable here"),
            ("refused", "refused as unfair"),
            ("undecided", _STAYS),
        )
        if word in words
    ]
    left = words.count("open") + words.count("pending")
    if not found:
        return f"{total}; none is decided yet. A verdict needs {LOOKS[0]} replicates, with seeds from {FIRST_SEED} on."
    rest = f", {left} not decided yet" if left else ""
    width, steps = _size(records)
    data = TITLES.get(trial["data"], trial["data"])
    scale = ", ".join(filter(None, [f"scale {trial['scale']}", variant]))
    tested = any(part["final"] and part["exact"] is None for part in parts_of(trial))
    seeds = ", and generalise to new seeds" if tested else ""
    wider = f"wider networks (the paper's: {PAPER}) and " if isinstance(width, int) and width < PAPER else ""
    waits = (
        f" A statistical test needs {LOOKS[0]} replicates, with seeds from {FIRST_SEED} on."
        if "pending" in words
        else ""
    )
    return (
        f"{total}: {', '.join(found)}{rest}. The answers are for networks of width {width} after {steps} steps on "
        f"{data} ({scale}){seeds}; {wider}other images were not tested.{waits}"
    )


def _outcome(part: Mapping[str, Any]) -> str:
    """Its word; ``partly`` if only some of its contrasts have an answer, ``undecided`` if it stays open."""
    if part["word"] == "mixed" and any(one["word"] in (*UNSETTLED, "not testable here") for one in part["contrasts"]):
        return "partly"
    return "undecided" if part["word"] == "open" and part["final"] else str(part["word"])


def _state(trial: Trial, records: Sequence[RunRecord]) -> Plain | None:
    """How far a sequential suite is; ``None`` if no replicate of it has been started."""
    if all(record.seed < FIRST_SEED for record in records):
        return None
    parts = list(trial.parts.values())
    undecided = [part for part in parts if not part.final]
    looks = max(part.look for part in parts)
    replicates = [part.num_replicates for part in undecided if part.part.exact is None] or [LOOKS[looks - 1]]
    settled = sum(all(part.answered) for part in parts)
    in_part = sum(any(part.answered) and not all(part.answered) for part in parts)
    decided = f"{settled} of {len(parts)} questions are decided{f', {in_part} in part' if in_part else ''}"
    return {
        "replicates": [min(replicates), max(replicates)],
        "looks": list(LOOKS),
        "progress": f"{decided}. {_next_looks(undecided)}",
        "missing": len(trial.missing),
        "needed": [title(name) for name in dict.fromkeys(cell.experiment for cell in trial.missing)],
    }


def _next_looks(undecided: Sequence[PartResult]) -> str:
    waiting: dict[int, list[str]] = {}
    for part in undecided:
        if part.next_look is not None:
            waiting.setdefault(part.next_look, []).append(part.part.id)
    if not waiting:
        return "The last interim analysis is done."
    each = [f"at {look} replicates for {', '.join(ids)}" for look, ids in sorted(waiting.items())]
    return f"The next interim analysis is {', '.join(each)}."
