"""The claims fit their experiments, their measures and the fixed family of 21 tests."""

import pytest
from made_records import PARTS

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.trial.claims import AT_THE_BASES_RATE, CLAIMS, FAMILY
from unet_repro.trial.measures import MEASURES
from unet_repro.trial.seed_runs import REFERENCES


def quantities(part):
    return [*part.contrasts, *(part.premise.any_of if part.premise else ()), *part.beside]


def test_ten_claims_have_fourteen_parts_and_21_contrasts():
    assert [claim.id for claim in CLAIMS] == [f"C{n}" for n in range(1, 11)]
    assert " ".join(PARTS) == "C1a C1b C2 C3a C3b C4 C5 C6 C7a C7b C8 C9 C10a C10b"
    assert FAMILY == 21
    assert sum(len(part.contrasts) for part in PARTS.values()) == FAMILY
    assert set(AT_THE_BASES_RATE) <= set(PARTS)


def test_kinds_margins_and_numbers_are_those_of_the_specification():
    table = {
        "C1a": "NN .02", "C1b": "SS .005", "C2": "NNNN .02", "C3a": "S .02", "C3b": "S .02", "C4": "SN .02",
        "C5": "SN .02", "C6": "S .02", "C7b": "NN .005", "C8": "S .005", "C9": "S .02", "C10a": "SS .02",
    }  # fmt: skip
    for name, line in table.items():
        kinds, margin = line.split()
        assert "".join(one.kind for one in PARTS[name].contrasts) == kinds
        assert {one.margin for one in PARTS[name].contrasts} == {float(margin)}
    assert [(PARTS[name].exact.bound, PARTS[name].exact.above) for name in ("C7a", "C10b")] == [
        (1e-5, False),
        (1e-4, True),
    ]
    assert {name for name, part in PARTS.items() if part.premise} == {"C3b", "C4", "C5", "C6"}
    assert {name for name, part in PARTS.items() if part.keeps_all} == {"C5"}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_part_is_either_exact_or_tested_and_has_words_for_every_finding(part):
    assert bool(part.contrasts) != (part.exact is not None)
    assert part.question.endswith("?")
    for contrast in part.contrasts:
        words = contrast.words or part.words
        assert words.supported
        assert words.refuted
        assert words.opposite if contrast.kind == "S" else words.better
    for quantity in quantities(part):
        assert {term.measure for term in quantity.terms} <= set(MEASURES)
        assert set(quantity.arms) <= set(part.arms)
    for contrast in part.contrasts:
        assert sum(term.weight for term in contrast.terms) == 0  # a difference


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_every_arm_is_in_the_experiment(part):
    settings = check(compose("train", [f"experiment={part.experiment}"])).experiment
    assert set(part.arms) <= set(settings.arms)


def test_the_thirteen_seed_runs_are_there_by_name():
    settings = check(compose("train", ["experiment=seed_runs"])).experiment
    assert list(settings.arms) == list(REFERENCES)
    assert len(REFERENCES) == 13
