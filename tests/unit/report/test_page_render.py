import json
import re
from functools import cache

import pytest
from page_sample import NAUGHTY, sample

from unet_repro.report.page import SCRIPTS, render

sample = cache(sample)


def embedded(document: str) -> object:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', document, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.mark.parametrize("num_seeds", [0, 1, 3])
def test_the_page_holds_the_data_as_they_are(num_seeds):
    data = sample(num_seeds)
    assert embedded(render(data)) == data


def test_nothing_in_the_data_ends_its_element():
    document = render(sample(1))
    assert NAUGHTY not in document
    assert "\\u003c/script>\\u003cb id=" in document
    assert document.count("</script>") == 3  # theme, data, scripts


def test_places_named_in_the_data_are_not_filled():
    data = sample(0) | {"environment": [["/* data */", "/* styles */"], ["/* scripts */", ""]]}
    document = render(data)
    assert embedded(document) == data
    assert document.count("font-variant-numeric") == 1


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        render(sample(0) | {"gallery": number})


def test_the_page_needs_nothing_from_elsewhere():
    document = render(sample(1))
    assert "default-src 'none'" in document
    assert not re.search(r'(?:src|href)="(?!#|data:)', document)
    addresses = set(re.findall(r"https?://[^\"'\s<\\]+", document))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_every_script_is_inlined_in_order():
    document = render(sample(0))
    firsts = [document.index(f"// {line}") for line in (
        "Elements, numbers", "The reader's choices", "Scales, axes", "Draws charts", "All contrasts in one",
        "The conclusion in words", "Learning curves:", "Final scores, one point", "Effects per image",
        "One comparison:", "Held-out crops", "Supplementary sections", "Assembles the page",
    )]  # fmt: skip
    assert firsts == sorted(firsts)
    assert len(firsts) == len(SCRIPTS)


def test_a_page_of_the_complete_trial_stays_small():
    assert len(render(sample(30, scale="laptop", record="all"))) < 2_200_000  # 3 MB with the gallery's crops
