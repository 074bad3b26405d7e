"""The results of parts in sentences: what was found, how sure that is, and for which networks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unet_repro.files import counted
from unet_repro.trial.claims import AT_THE_BASES_RATE, FAMILY
from unet_repro.trial.contrasts import Words
from unet_repro.trial.looks import FIRST_SEED, LEVELS, LOOKS
from unet_repro.trial.results import ContrastResult, Figure, PartResult
from unet_repro.trial.run_record import RunRecord

EARLY_SUPPORT = "an estimate that led to support before the last analysis tends to favour the claim too much"


def in_words(result: PartResult, records: Sequence[RunRecord]) -> PartResult:
    """Adds the sentences to a result.

    Args:
        result: The result of a part.
        records: Runs of the part.
    """
    contrasts = tuple(replace(one, found=_contrast(one, result)) for one in result.contrasts)
    result = replace(result, contrasts=contrasts)
    result = replace(result, found=_found(result), sure=_sure(result), qualifiers=_qualifiers(result))
    return replace(result, scope=_scope(result, records))


def _found(result: PartResult) -> str:
    part = result.part
    if result.word == "refused":
        return f"Refused, because the comparison is unfair: {result.unfair[0]}."
    if result.word == "no verdict":
        return "No verdict at this scale: its networks have learned nothing."
    if part.exact is not None:
        return _exact(result)
    if result.word == "pending":
        seeds = "" if result.num_replicates else f", with seeds from {FIRST_SEED} on"
        judged = f"Not judged yet: {result.num_replicates} of the {LOOKS[0]} replicates required{seeds}."
        return " ".join(filter(None, [judged, part.note]))
    sentences = [*(one.found for one in result.contrasts), *([part.note] if part.note else [])]
    return " ".join(dict.fromkeys(sentences))


def _contrast(result: ContrastResult, of_part: PartResult) -> str:
    """One sentence: the finding in words, with its figures."""
    part, contrast = of_part.part, result.contrast
    words = contrast.words or part.words
    figures = "no replicate counts" if result.figure is None else _figures(result.figure, contrast.margin)
    match result.word:
        case "supported":
            better = f"; the uncorrected interval even shows that {words.better}" if seems_better(result, words) else ""
            return f"{capital(words.supported)}: {figures}{better}."
        case "refuted":
            return f"{capital(words.opposite if result.opposite else words.refuted)}: {figures}."
        case "not testable here":
            return f"Not testable here: {_failed_premise(of_part)}."
        case "open":
            leaning = ""
            if result.leans is not None:
                side = words.supported if result.leans == "supported" else words.refuted
                leaning = f"; the uncorrected interval leans to: {side}"
            return f"Open: {figures}{leaning}."
        case _:
            return f"{capital(result.word)}: {figures}."


def seems_better(result: ContrastResult, words: Words) -> bool:
    """Whether the uncorrected interval of a supported ``N`` contrast is above 0, and the words have a name for that."""
    interval = result.figure.estimate.interval if result.figure is not None else None
    return bool(words.better) and interval is not None and interval[0] > 0


def _failed_premise(result: PartResult) -> str:
    """What is the case instead of the premise, with its figures."""
    reached = ", ".join(f"{one.name}: {signed(one.estimate.mean)} {one.unit}" for one in result.premise)
    return f"{result.part.premise.fails if result.part.premise else ''} ({reached})"


def _figures(figure: Figure, margin: float) -> str:
    found = figure.estimate
    ends = found.interval or ()
    digits = digits_for(found.interval, margin)
    interval = f", 95 % interval {signed(ends[0], digits)} to {signed(ends[1], digits)}" if ends else ""
    return f"{figure.name}: {signed(found.mean, digits)} {figure.unit}{interval}; margin {margin:g}"


def _exact(result: PartResult) -> str:
    exact, words = result.part.exact, result.part.words
    assert exact is not None
    if result.exact is None:
        return "Not judged yet: no run has been evaluated."
    answer = words.supported if result.word == "supported" else words.refuted
    measured = (
        f"in every run, a class probability of some pixel differs by at least {result.exact:.2g}; required: more than"
        if exact.above
        else f"largest difference of a class probability in any run {result.exact:.2g}; allowed: at most"
    )
    return f"{capital(answer)}: {measured} {np.format_float_positional(exact.bound, trim='-')}."


def _sure(result: PartResult) -> str:
    if result.part.exact is not None:
        runs = result.num_runs
        return f"Exact: measured in {counted(runs, 'run')}; no statistics needed." if runs else "One run decides it."
    if result.word in ("refused", "no verdict"):
        return "Nothing can be concluded."
    if not result.look:
        return f"Nothing is tested before {LOOKS[0]} replicates are complete."
    looks = [one for one in result.contrasts if one.word in ("supported", "refuted")]
    chance = f"{100 * sum(LEVELS):.0f} %"
    trial = f"nominally, a false verdict in the whole trial of {FAMILY} tests has a chance of at most {chance}"
    decided = ", ".join(
        dict.fromkeys(
            f"at {_replicates(one)} replicates (p {_p(one)}, level {_two_digits(one.level)})" for one in looks
        )
    )
    sentences = [f"Decided {decided}; {trial}."] if looks else []
    if any(one.word == "supported" and one.look < len(LOOKS) for one in looks):
        sentences.append(f"{capital(EARLY_SUPPORT)}.")
    if result.next_look is not None:
        waiting = sum(one.word == "open" for one in result.contrasts)
        if result.premise_holds is False:
            verdict = "No further verdict" if looks else "No verdict"
            sentences.append(f"{verdict} so far, whatever the p-values: {_failed_premise(result)}.")
        whole = waiting == len(result.contrasts)
        tests = f"{waiting} of {counted(len(result.contrasts), 'test')}"
        waits = {(1, True): "The test waits", (2, True): "Both tests wait"}.get((waiting, whole), f"Waiting: {tests}")
        sentences.append(f"{waits} for the analysis at {result.next_look} replicates.")
    elif any(one.word == "open" for one in result.contrasts):
        sentences.append(f"What {LOOKS[-1]} replicates do not decide stays open.")
    elif any(one.word == "not testable here" for one in result.contrasts):
        sentences.append(f"The premise failed at the last interim analysis, at {LOOKS[-1]} replicates.")
    return " ".join(sentences)


def _replicates(result: ContrastResult) -> int:
    """Replicates that a contrast was tested with."""
    return result.figure.estimate.num if result.figure is not None else 0


def _p(result: ContrastResult) -> str:
    p = result.p_for if result.word == "supported" else result.p_against
    assert p is not None
    return f"= {_two_digits(p)}" if p >= 1e-6 else "< 1e−6"


def _two_digits(p: float | None) -> str:
    """A p-value or level, below 0.001 as 2.5e−5."""
    assert p is not None
    if p >= 1e-3:
        return f"{p:.2g}"
    number, exponent = f"{p:.1e}".split("e")
    return f"{number}e−{abs(int(exponent))}"


def _scope(result: PartResult, records: Sequence[RunRecord]) -> str:
    if not records:
        return ""
    first = records[0]
    width, steps = first.settings["model"]["width"], first.settings["trainer"]["max_steps"]
    networks = f"networks of width {width} after {steps} steps on {first.data} (scale {first.scale})"
    return ", ".join([networks, *result.qualifiers])


def _qualifiers(result: PartResult) -> tuple[str, ...]:
    found = []
    if result.part.id in AT_THE_BASES_RATE:
        found.append("all at the learning rate of the base setting, which was not tuned again")
    if number := len(result.not_started):
        found.append(f"among runs that start ({counted(number, 'replicate')} with a run that did not start left out)")
    return tuple(found)


def digits_for(interval: tuple[float, float] | None, margin: float) -> int:
    """Decimal places for an interval: 3, or 4 if it is narrow or 3 would move an end to zero or to the margin."""
    if interval is None:
        return 3
    close = any(abs(abs(end) - bound) < 0.0005 for end in interval for bound in (0.0, margin))
    return 4 if close or interval[1] - interval[0] < 0.01 else 3


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign, a minus sign being U+2212."""
    return f"{value:+z.{digits}f}".replace("-", "−")


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
