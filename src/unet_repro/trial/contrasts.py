"""The tests of a claim: contrasts between arms, with expectations."""

from dataclasses import dataclass

from unet_repro.stats import Expectation


@dataclass(frozen=True)
class Term:
    """One side of a contrast.

    Attributes:
        arms: Names of the experiment's arms; several arms, such as folds, are parts of one whole: images are pooled.
        weight: Factor for its values.
        variant: Variant of the evaluation, if it has several.
    """

    arms: tuple[str, ...]
    weight: float
    variant: str = ""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arms' values, with an expectation.

    Attributes:
        name: Name of the contrast, such as ``A - B``.
        measure: A name from ``trial.measures.MEASURES``.
        terms: The terms of the sum.
        expects: The claim's expectation for the sum.
        margin: The smallest difference that matters, in units of the measure.
        primary: Whether it counts for the verdict.
    """

    name: str
    measure: str
    terms: tuple[Term, ...]
    expects: Expectation
    margin: float
    primary: bool = True


def versus(
    first: str,
    second: str,
    measure: str,
    expects: Expectation,
    margin: float,
    *,
    primary: bool = True,
    variants: tuple[str, str] = ("", ""),
) -> Contrast:
    """The difference of two arms, or of two variants of an evaluation of one arm."""
    names = variants if first == second else (first, second)
    terms = (Term((first,), 1.0, variants[0]), Term((second,), -1.0, variants[1]))
    return Contrast(" − ".join(names), measure, terms, expects, margin, primary)
