"""What a claim is tested by: contrasts between arms, with what is expected of them."""

from dataclasses import dataclass

from unet_repro.stats import Expectation


@dataclass(frozen=True)
class Term:
    """One side of a contrast.

    Attributes:
        arms: Names of the experiment's arms; several are parts of one whole, such as folds: their images are joined.
        weight: What its values are multiplied by.
        variant: Of the evaluation that the measure is read from, where it has several.
    """

    arms: tuple[str, ...]
    weight: float
    variant: str = ""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arms' values, with what is expected of it.

    Attributes:
        name: The contrast in words, such as ``A - B``.
        measure: A name of ``trial.measures.MEASURES``.
        terms: What is added up.
        expects: What the claim says of the sum.
        margin: The smallest difference that matters, in units of the measure.
        primary: Whether it takes part in the verdict.
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
