"""What the trial has found: plain containers of its words and figures."""

from dataclasses import dataclass
from typing import Any, Literal

from unet_repro.stats import Stratified
from unet_repro.trial.contrasts import Claim, Contrast, Part
from unet_repro.trial.measures import MEASURES
from unet_repro.trial.replicates import Cell

Word = Literal["supported", "refuted", "not testable here", "open", "pending", "refused", "mixed", "no verdict"]
UNSETTLED: tuple[Word, ...] = ("open", "pending")  # words that are no answer


@dataclass(frozen=True)
class Figure:
    """A quantity over the replicates.

    Attributes:
        name: Its name.
        title: Title of its measure.
        unit: Unit of its measure.
        estimate: Its mean with its standard error.
        seeds: The replicates' seeds.
        folds: Their folds.
        values: Their values.
    """

    name: str
    title: str
    unit: str
    estimate: Stratified
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class ContrastResult:
    """The result of one contrast.

    Attributes:
        contrast: The contrast.
        word: ``supported`` or ``refuted``; else ``not testable here``, ``open`` (not decided at a look), ``pending``
            (before the first look), ``refused`` or ``no verdict``.
        figure: The difference d at the look; before the first look over the replicates so far; ``None`` without any.
        look: The look, from 1; 0 before the first.
        p_for: P-value of support; ``None`` before the first look.
        p_against: P-value of refutation.
        level: The level that they are compared with.
        opposite: Whether the refuted difference has the opposite sign.
        leans: After the last look, for an open contrast: the side of the uncorrected interval.
        found: What was found, in one sentence.
    """

    contrast: Contrast
    word: Word
    figure: Figure | None
    look: int = 0
    p_for: float | None = None
    p_against: float | None = None
    level: float | None = None
    opposite: bool = False
    leans: Literal["supported", "refuted"] | None = None
    found: str = ""


@dataclass(frozen=True)
class PartResult:
    """The result of one part.

    Attributes:
        part: The part.
        word: The word that its contrasts share; ``mixed`` if they differ.
        contrasts: Results of its contrasts.
        premise: Figures of its premise.
        premise_holds: Whether one of them reaches its bound; ``None`` without a premise or without replicates.
        beside: Secondary figures.
        look: The latest look made, from 1; 0 before the first.
        num_replicates: Replicates that count so far.
        next_look: Replicates at its next look; ``None`` if it is decided, or open after the last one.
        not_started: Seeds that were replaced because a run has not started.
        missing: Runs that its next look waits for.
        exact: For an exact part, the extreme value of its measure; ``None`` before any run.
        num_runs: For an exact part, the number of runs measured.
        unfair: Why it is refused.
        labels: Differences between its runs that are reported only.
        found: What was found, in one or few sentences.
        sure: How sure that is, in one sentence.
        scope: For which networks and data, with the qualifiers.
        qualifiers: Conditions of the finding that not all parts share.
    """

    part: Part
    word: Word
    contrasts: tuple[ContrastResult, ...] = ()
    premise: tuple[Figure, ...] = ()
    premise_holds: bool | None = None
    beside: tuple[Figure, ...] = ()
    look: int = 0
    num_replicates: int = 0
    next_look: int | None = None
    not_started: tuple[int, ...] = ()
    missing: tuple[Cell, ...] = ()
    exact: float | None = None
    num_runs: int = 0
    unfair: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    found: str = ""
    sure: str = ""
    scope: str = ""
    qualifiers: tuple[str, ...] = ()

    @property
    def final(self) -> bool:
        """Whether no further run can change it."""
        return self.next_look is None

    @property
    def answered(self) -> tuple[bool, ...]:
        """Whether each of its contrasts has an answer; of a part without contrasts, whether it has one."""
        return tuple(one.word not in UNSETTLED for one in self.contrasts or (self,))


@dataclass(frozen=True)
class ClaimResult:
    """The result of one claim.

    Attributes:
        claim: The claim.
        word: The word that its parts share; ``mixed`` if they differ.
        parts: Results of its parts.
    """

    claim: Claim
    word: Word
    parts: tuple[PartResult, ...]


@dataclass(frozen=True)
class Trial:
    """The result of the trial at one scale on one data set.

    Attributes:
        scale: The scale.
        data: Name of the source; empty without runs.
        claims: Results of all claims.
        missing: Runs that the undecided parts' next looks wait for, without repetition, in the order of their seeds.
        num_runs: Number of runs judged.
    """

    scale: str
    data: str
    claims: tuple[ClaimResult, ...]
    missing: tuple[Cell, ...]
    num_runs: int

    @property
    def parts(self) -> dict[str, PartResult]:
        """Results of all parts by their id."""
        return {part.part.id: part for claim in self.claims for part in claim.parts}

    @property
    def done(self) -> bool:
        """Whether no further run can change it."""
        return all(part.final for part in self.parts.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for ``verdicts.json`` and the page."""
        return {
            "scale": self.scale,
            "data": self.data,
            "runs": self.num_runs,
            "done": self.done,
            "claims": [
                {
                    "id": one.claim.id,
                    "statement": one.claim.statement,
                    "source": one.claim.source,
                    "word": one.word,
                    "parts": [_part(part) for part in one.parts],
                }
                for one in self.claims
            ],
            "missing": [vars(cell) for cell in self.missing],
        }


def shared_word(words: list[Word]) -> Word:
    """The word that all share, or ``mixed``."""
    return words[0] if len(set(words)) == 1 else "mixed"


def _part(result: PartResult) -> dict[str, Any]:
    part = result.part
    return {
        "id": part.id,
        "experiment": part.experiment,
        "question": part.question,
        "word": result.word,
        "found": result.found,
        "sure": result.sure,
        "scope": result.scope,
        "qualifiers": list(result.qualifiers),
        "look": result.look,
        "next_look": result.next_look,
        "final": result.final,
        "replicates": result.num_replicates,
        "not_started": list(result.not_started),
        "contrasts": [_contrast(one) for one in result.contrasts],
        "premise": None
        if part.premise is None
        else {
            "text": part.premise.text,
            "at_least": part.premise.at_least,
            "holds": result.premise_holds,
            "figures": [_figure(one) for one in result.premise],
        },
        "beside": [_figure(one) for one in result.beside],
        "exact": None
        if part.exact is None
        else {
            "title": MEASURES[part.exact.measure].title,
            "bound": part.exact.bound,
            "above": part.exact.above,
            "value": result.exact,
            "runs": result.num_runs,
        },
        "unfair": list(result.unfair),
        "labels": list(result.labels),
        "missing": len(result.missing),
    }


def _contrast(result: ContrastResult) -> dict[str, Any]:
    contrast, measure = result.contrast, MEASURES[result.contrast.measure]
    return {
        "name": contrast.name,
        "kind": contrast.kind,
        "margin": contrast.margin,
        "title": measure.title,
        "unit": measure.unit,
        "word": result.word,
        "opposite": result.opposite,
        "leans": result.leans,
        "look": result.look,
        "p_for": result.p_for,
        "p_against": result.p_against,
        "level": result.level,
        "found": result.found,
        "figure": None if result.figure is None else _figure(result.figure),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    found = figure.estimate
    low, high = found.interval or (None, None)
    return {
        "name": figure.name,
        "title": figure.title,
        "unit": figure.unit,
        "mean": found.mean,
        "error": found.error,
        "degrees": found.degrees,
        "low": low,
        "high": high,
        "by_fold": found.by_fold,
        "seeds": list(figure.seeds),
        "folds": list(figure.folds),
        "values": list(figure.values),
    }
