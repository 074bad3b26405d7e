"""The vocabulary of claims: a claim has parts, a part has contrasts, a contrast is one test."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["S", "N"]  # superiority: something is better; non-inferiority: something is not worse


@dataclass(frozen=True)
class Words:
    """Findings in plain words: one clause each, without figures.

    Attributes:
        supported: If a contrast is supported.
        refuted: If it is refuted.
        opposite: If an ``S`` contrast is refuted and the difference is shown to be below 0.
        better: What the difference of a supported ``N`` contrast means if it is above 0.
    """

    supported: str
    refuted: str
    opposite: str = ""
    better: str = ""


@dataclass(frozen=True)
class Term:
    """One summand of a quantity.

    Attributes:
        arm: Name of the experiment's arm.
        weight: Factor of its value.
        measure: A name from ``trial.measures.MEASURES``.
    """

    arm: str
    weight: float
    measure: str = "iou"


@dataclass(frozen=True)
class Quantity:
    """A weighted sum of arms' values in one replicate.

    Attributes:
        name: Its name, such as ``572 − 380``.
        terms: Its summands.
    """

    name: str
    terms: tuple[Term, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of its arms, in order of appearance."""
        return tuple(dict.fromkeys(term.arm for term in self.terms))


@dataclass(frozen=True)
class Contrast(Quantity):
    """One test: d is the difference in the direction of the claim.

    Attributes:
        kind: ``S``: supported if d > 0 is shown and the estimate is at least the margin; refuted if d < margin is
            shown. ``N``: supported if d > -margin is shown; refuted if d < -margin is shown.
        margin: The smallest difference that matters, in the unit of the measure.
        words: Its findings in plain words; ``None`` for those of its part.
    """

    kind: Kind
    margin: float
    words: Words | None = None

    @property
    def measure(self) -> str:
        """The measure of its first term, which gives its title and unit."""
        return self.terms[0].measure


@dataclass(frozen=True)
class Premise:
    """What must be the case for a part to be testable.

    Attributes:
        text: The premise in words.
        fails: What is the case where it does not hold, in words.
        any_of: It holds if the mean of one of these is at least ``at_least``.
        at_least: Bound, in the unit of the measure.
    """

    text: str
    fails: str
    any_of: tuple[Quantity, ...]
    at_least: float


@dataclass(frozen=True)
class Exact:
    """A property that every run has or has not; no statistics.

    Attributes:
        arm: Name of the arm.
        measure: Name of the measure.
        bound: Limit of its value.
        above: Whether the claim is that the value is above the limit in every run; otherwise at or below it.
    """

    arm: str
    measure: str
    bound: float
    above: bool = False


@dataclass(frozen=True)
class Part:
    """A part of a claim.

    Attributes:
        id: ``C1a`` to ``C10b``.
        experiment: The comparison that has its arms.
        question: What is asked, in one sentence.
        words: Its findings in plain words.
        contrasts: Its tests; none if it is exact.
        varies: Settings in which its arms may differ, as prefixes of their names in the configuration; ``split`` also
            covers the training and validation images.
        exact: The property, if the part is exact.
        premise: What must be the case; ``None`` if it is always testable.
        beside: Quantities shown beside its contrasts, never judged.
        keeps_all: Whether replicates with a run that has not started count.
        note: A sentence that always accompanies its finding.
    """

    id: str
    experiment: str
    question: str
    words: Words
    contrasts: tuple[Contrast, ...] = ()
    varies: tuple[str, ...] = ()
    exact: Exact | None = None
    premise: Premise | None = None
    beside: tuple[Quantity, ...] = ()
    keeps_all: bool = False
    note: str = ""

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of all arms that it needs, in order of appearance."""
        return self.arms_for(self.contrasts)

    def arms_for(self, contrasts: tuple[Contrast, ...]) -> tuple[str, ...]:
        """Names of the arms that these contrasts need, with those of the premise."""
        quantities = (*contrasts, *(self.premise.any_of if self.premise else ()))
        arms = [arm for quantity in quantities for arm in quantity.arms]
        return tuple(dict.fromkeys([*arms, *([self.exact.arm] if self.exact else [])]))


@dataclass(frozen=True)
class Claim:
    """A claim that is tested.

    Attributes:
        id: ``C1`` to ``C10``.
        statement: What is claimed.
        source: Who claims it.
        parts: Its parts.
    """

    id: str
    statement: str
    source: str
    parts: tuple[Part, ...]


def versus(
    first: str,
    second: str,
    kind: Kind,
    margin: float,
    *,
    measures: tuple[str, str] = ("iou", "iou"),
    name: str = "",
    words: Words | None = None,
) -> Contrast:
    """The difference of two arms, or of two measures of one arm."""
    terms = (Term(first, 1.0, measures[0]), Term(second, -1.0, measures[1]))
    return Contrast(name or f"{first} − {second}", terms, kind, margin, words)
