"""The report's page in real Chromium, from a file and without a network."""

import base64
import copy
import functools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_sample import NAUGHTY, SIZE, sample

from unet_repro.conf_files import conf_dir
from unet_repro.report.page import render
from unet_repro.trial.looks import LOOKS

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"),
]
TILE_SIZE = "details[data-id='tile_size/isbi2012/cpu']"
NAMES = "details[data-id='names/isbi2012/cpu']"
FALSE_CELL, MISSED_CELL, RIGHT_CELL, RIGHT_BACKGROUND = (0, 114, 178), (213, 94, 0), (217,) * 3, (64,) * 3
Open = Callable[..., Any]
sample = functools.cache(sample)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    options = Options()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--force-prefers-reduced-motion"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a page of some data in a window of some width; no test may leave an error in the console."""

    def show(data: Any = None, *, width: int = 1400, edit: Callable[[str], str] = str, anchor: str = "") -> Any:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        path = tmp_path / "index.html"
        path.write_text(edit(render(sample(3) if data is None else data)), encoding="utf-8")
        chromium.get(path.as_uri() + anchor)
        wait(chromium, "return 'ready' in document.documentElement.dataset")
        return chromium

    chromium.get_log("browser")
    yield show
    assert [entry for entry in chromium.get_log("browser") if entry["level"] != "INFO"] == []
    chromium.execute_script("try { localStorage.clear() } catch {}")


def wait(driver: Any, condition: str, *arguments: Any) -> Any:
    return WebDriverWait(driver, 15, 0.02).until(lambda _: driver.execute_script(condition, *arguments))


def one(driver: Any, selector: str) -> Any:
    return driver.find_element(By.CSS_SELECTOR, selector)


def texts(driver: Any, selector: str) -> list[str]:
    return [str(node.text) for node in driver.find_elements(By.CSS_SELECTOR, selector)]


def near(driver: Any, selector: str) -> Any:
    """The node, scrolled to, once what is drawn lazily is there."""
    driver.execute_script("document.querySelector(arguments[0]).scrollIntoView({behavior: 'instant'})", selector)
    return one(driver, selector)


def unfold(driver: Any, selector: str) -> Any:
    """The folded part, opened and scrolled to."""
    driver.execute_script("document.querySelector(arguments[0]).open = true", selector)
    return near(driver, selector)


def charts(driver: Any, drawn: str = "svg") -> Any:
    """The first comparison, unfolded, its charts drawn, or said to have nothing to draw."""
    unfold(driver, TILE_SIZE)
    for chart in one(driver, TILE_SIZE).find_elements(By.CSS_SELECTOR, ".chart"):
        driver.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", chart)
        wait(driver, "return arguments[0].firstElementChild?.matches(arguments[1])", chart, drawn)
    return near(driver, TILE_SIZE)


def lines(driver: Any) -> dict[str, str]:
    """Path of every learning curve of the first comparison, by arm."""
    found = driver.find_elements(By.CSS_SELECTOR, f"{TILE_SIZE} .chart[data-chart=curves] path.curve")
    return {line.get_attribute("data-arm"): line.get_attribute("d") for line in found}


def gallery(driver: Any) -> None:
    near(driver, "#gallery")
    wait(driver, "return document.querySelector('#gallery .body').dataset.state == 'ready'")


def pixel(driver: Any, panel: str, x: int, y: int) -> tuple[int, ...]:
    script = """const canvas = document.querySelector(`[data-panel=${arguments[0]}] canvas`);
                return [...canvas.getContext("2d").getImageData(arguments[1], arguments[2], 1, 1).data].slice(0, 3)"""
    return tuple(driver.execute_script(script, panel, x, y))


def test_the_first_screen_is_a_conclusion_in_words(page):
    data = sample(30, scale="laptop", record="all")
    (trial,) = data["trials"]
    driver = page(data)
    assert driver.execute_script("return document.querySelector('main section').id") == "conclusion"
    lead = one(driver, ".finding")
    assert lead.text == trial["lead"]
    assert driver.execute_script("return arguments[0].getBoundingClientRect().bottom < innerHeight / 2", lead)
    parts = [part for claim in trial["claims"] for part in claim["parts"]]
    settled = [part for part in parts if part["word"] not in ("open", "pending")]
    rows = driver.find_elements(By.CSS_SELECTOR, "#conclusion .conclusion > ul > li")
    assert len(rows) == len(settled) > 8
    shown = "\n".join(row.text for row in rows)
    assert all(part["short"] in shown for part in settled)
    assert all(row.find_element(By.CSS_SELECTOR, ".verdict svg").is_displayed() for row in rows)
    assert one(driver, ".suite").is_displayed()
    assert not driver.find_elements(By.CSS_SELECTOR, ".banner")


def test_a_toy_scale_has_a_banner_and_says_what_verdicts_need(page):
    driver = page(sample(3))
    assert "toys" in one(driver, ".banner").text
    assert "needs 15 replicates" in one(driver, ".finding").text
    assert not driver.find_elements(By.CSS_SELECTOR, ".suite")


def test_nothing_is_judged_at_smoke(page):
    driver = page(sample(3, scale="smoke", data="synthetic"))
    assert "nothing is judged" in one(driver, ".banner").text
    assert driver.find_elements(By.CSS_SELECTOR, ".verdict") == []
    assert driver.find_elements(By.CSS_SELECTOR, "svg [data-part]") == []
    assert "Nothing is judged at this scale" in one(driver, "#verdicts").text


def test_a_running_suite_shows_replicates_looks_and_what_it_waits_for(page):
    driver = page(sample(LOOKS[0] + 3, scale="laptop", complete=False))
    text = one(driver, ".suite").text
    assert f"The next interim analysis is at {LOOKS[1]} replicates for C" in text
    assert "of 14 questions are decided" in text
    assert [mark.text for mark in driver.find_elements(By.CSS_SELECTOR, ".look.done")] == [str(LOOKS[0])]
    assert "Still missing: " in text


def test_every_part_stands_with_question_word_and_how_sure(page):
    data = sample(30, scale="laptop", record="all")
    driver = page(data)
    for part in [part for claim in data["trials"][0]["claims"] for part in claim["parts"]]:
        shown = one(driver, f".part[data-part='{part['id']}']")
        assert shown.find_element(By.CSS_SELECTOR, ".verdict strong").text == part["word"]
        for text in (part["question"], part["sure"], *(one["found"] for one in part["contrasts"])):
            assert text in shown.text


def test_the_forest_plot_names_every_contrast_and_what_it_must_reach(page):
    data = sample(30, scale="laptop", record="all")
    driver = page(data)
    near(driver, "#verdicts .chart")
    wait(driver, "return document.querySelector('#verdicts .chart svg')")
    rows = driver.find_elements(By.CSS_SELECTOR, "#verdicts svg .contrast")
    assert len(rows) == 21
    needed = [row.find_element(By.CSS_SELECTOR, ".needed").get_attribute("d") for row in rows]
    assert len({path.split(",")[0] for path in needed}) == 2  # one margin above zero, or one below
    contrasts = [one for claim in data["trials"][0]["claims"] for part in claim["parts"] for one in part["contrasts"]]
    assert [row.find_element(By.CSS_SELECTOR, ".name").text.split(maxsplit=1)[1] for row in rows] == [
        contrast["name"] for contrast in contrasts
    ]


def test_a_part_unfolds_to_its_rule_and_numbers_and_leads_to_its_comparison(page):
    driver = page()
    part = one(driver, ".part[data-part='C1a']")
    details = part.find_element(By.CSS_SELECTOR, "details")
    assert not details.find_element(By.CSS_SELECTOR, "table").is_displayed()
    details.find_element(By.CSS_SELECTOR, "summary").send_keys(Keys.ENTER)
    wait(driver, "return arguments[0].open", details)
    assert "supported if it is shown to be above −0.02 IoU" in details.text
    assert len(details.find_elements(By.CSS_SELECTOR, "table.data tbody tr")) == 4  # two tests, and the same at 0.5
    assert not one(driver, TILE_SIZE).get_attribute("open")
    one(driver, ".claim[data-claim='C1'] > p a").click()
    wait(driver, "return document.querySelector(arguments[0]).open", TILE_SIZE)


def test_comparisons_are_folded_and_say_what_they_ask(page):
    driver = page()
    folded = driver.find_elements(By.CSS_SELECTOR, "details.comparison")
    assert len(folded) == 11
    assert not any(node.get_attribute("open") for node in folded)
    assert "Do weight maps raise the IoU?" in folded[1].text
    assert "15 of 15 runs done" in folded[1].text


def test_each_runs_settings_are_there(page):
    driver = page()
    part = unfold(driver, TILE_SIZE)
    part.find_elements(By.CSS_SELECTOR, "details")[-1].find_element(By.CSS_SELECTOR, "summary").click()
    settings = part.find_elements(By.CSS_SELECTOR, ".settings")
    assert "width: 8" in settings[0].text
    assert "size: 380" in settings[1].text
    assert "width" not in settings[1].text  # other arms show what differs
    assert "seed 2" in settings[0].text


def test_every_image_has_its_effect(page):
    driver = page()
    part = charts(driver)
    marks = part.find_elements(By.CSS_SELECTOR, ".chart[data-chart=images] [data-arm]")
    assert len(marks) == 2 * 18  # two arms against the first, three folds of six slices


def test_with_many_arms_only_the_band_in_focus_is_drawn(page):
    driver = page()
    weights = "details[data-id='weight_map/isbi2012/cpu']"
    unfold(driver, weights)
    wait(driver, "return document.querySelector(arguments[0] + ' .chart[data-chart=curves] svg')", weights)
    assert driver.find_elements(By.CSS_SELECTOR, f"{weights} .band") == []
    driver.execute_script("document.querySelector(arguments[0]).focus()", f"{weights} .legend button[data-arm=paper]")
    assert len(driver.find_elements(By.CSS_SELECTOR, f"{weights} .band")) == 1
    assert len(driver.find_elements(By.CSS_SELECTOR, f"{weights} .curve.faint")) == 4


def test_every_point_of_the_cost_chart_is_labelled(page):
    data = sample(30)
    weight_map = next(one for one in data["comparisons"] if one["experiment"] == "weight_map")
    for arm in weight_map["arms"][1:]:
        arm["tflop"] = 2 * weight_map["arms"][0]["tflop"]  # equal costs: points above each other
    driver = page(data)
    selector = "details[data-id='weight_map/isbi2012/cpu']"
    unfold(driver, selector)
    near(driver, f"{selector} .chart[data-chart=cost]")
    wait(driver, "return document.querySelector(arguments[0] + ' .chart[data-chart=cost] svg')", selector)
    assert len(driver.find_elements(By.CSS_SELECTOR, f"{selector} .chart[data-chart=cost] text.name")) == 5


def test_equal_costs_are_no_chart(page):
    driver = page()
    selector = "details[data-id='few_images/isbi2012/cpu']"
    unfold(driver, selector)
    near(driver, f"{selector} .chart[data-chart=scores]")
    assert not driver.find_elements(By.CSS_SELECTOR, f"{selector} .chart[data-chart=cost]")
    assert "the same number of operations" in one(driver, selector).text


def test_the_metric_changes_curves_scores_and_readings(page):
    driver = page()
    part = charts(driver)
    before, readings = lines(driver), texts(driver, f"{TILE_SIZE} .reading")
    scores = part.find_element(By.CSS_SELECTOR, ".chart[data-chart=scores]").get_attribute("innerHTML")
    Select(part.find_element(By.CSS_SELECTOR, "select[id$=-metric]")).select_by_visible_text("val_loss")
    assert lines(driver).keys() == before.keys()
    assert all(path != before[arm] for arm, path in lines(driver).items())
    assert texts(driver, f"{TILE_SIZE} .reading") != readings
    assert part.find_element(By.CSS_SELECTOR, ".chart[data-chart=scores]").get_attribute("innerHTML") != scores
    assert "val_loss, lower is better" in part.text


def test_arms_are_hidden_and_shown_in_all_charts(page):
    driver = page()
    part = charts(driver)
    button = part.find_element(By.CSS_SELECTOR, ".legend button[data-arm='380, equal input']")
    assert button.get_attribute("aria-pressed") == "true"
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "false"
    assert list(lines(driver)) == ["572", "380, equal output"]
    marked = [node.get_attribute("data-arm") for node in part.find_elements(By.CSS_SELECTOR, ".chart [data-arm]")]
    assert "380, equal input" not in marked
    button.click()
    assert len(lines(driver)) == 3
    part.find_element(By.XPATH, ".//button[text()='Hide all']").click()
    assert lines(driver) == {}
    assert "No arm is shown." in part.text


def test_arms_differ_in_dashes_and_markers_not_in_colour_alone(page):
    driver = page()
    charts(driver)
    looks = driver.execute_script(
        "return [...document.querySelectorAll(`${arguments[0]} .swatch`)].map((node) => "
        "node.querySelector('line').getAttribute('stroke-dasharray') + node.querySelector('path').getAttribute('d'))",
        TILE_SIZE,
    )
    assert len(set(looks)) == 3


def test_single_seeds_are_drawn_on_request(page):
    driver = page()
    part = charts(driver)
    assert part.find_elements(By.CSS_SELECTOR, "path.seed") == []
    part.find_element(By.CSS_SELECTOR, "input[id$=-seeds]").click()
    assert len(part.find_elements(By.CSS_SELECTOR, "path.seed")) == 9


def test_the_keyboard_reads_curves_at_any_step(page):
    data = sample(3)
    driver = page(data)
    part = charts(driver)
    slider = part.find_element(By.CSS_SELECTOR, "input[id$=-step]")
    slider.send_keys(Keys.HOME)
    assert part.find_element(By.CSS_SELECTOR, ".at").text == "at step 8"
    curve = data["comparisons"][0]["arms"][0]["curves"]["iou"]
    middle = sorted(seed[0] for seed in curve["values"])[1]
    shown = texts(driver, f"{TILE_SIZE} .reading")[0]
    assert float(shown.split()[0].replace("−", "-")) == pytest.approx(middle, abs=1e-3)
    slider.send_keys(Keys.ARROW_RIGHT)
    assert slider.get_attribute("aria-valuetext") == "step 16"


def test_the_pointer_reads_curves(page):
    driver = page()
    part = charts(driver)
    plot = part.find_element(By.CSS_SELECTOR, ".chart[data-chart=curves] svg")
    webdriver.ActionChains(driver).move_to_element(plot).perform()
    step = int(part.find_element(By.CSS_SELECTOR, ".at").text.removeprefix("at step "))
    assert 130 <= step <= 200


def test_the_cost_switches(page):
    driver = page()
    part = charts(driver)
    select = Select(part.find_element(By.CSS_SELECTOR, "select[id$=-cost]"))
    assert not any("second" in option.text for option in select.options)  # times depend on machine and launcher
    seen = set()
    for cost in ("tflop", "pixels_in", "pixels_out"):
        select.select_by_value(cost)
        plot = part.find_element(By.CSS_SELECTOR, ".chart[data-chart=cost] svg")
        assert plot.get_attribute("data-cost") == cost
        seen.add(tuple(node.get_attribute("transform") for node in plot.find_elements(By.CSS_SELECTOR, ".mark")))
    assert len(seen) == 3


def test_the_gallery_shows_the_arms_that_are_chosen(page):
    driver = page()
    gallery(driver)
    assert pixel(driver, "a", 2, 2) == (255, 255, 255)  # arm 0: the upper half
    assert pixel(driver, "a", 2, SIZE - 2) == (0, 0, 0)
    assert pixel(driver, "b", 2, 12) == (0, 0, 0)  # arm 1: the stripe from 8 to 16
    Select(one(driver, "#gallery-b")).select_by_visible_text("380, equal output")
    wait(driver, "return document.querySelector('[data-panel=b] strong').textContent == 'B: 380, equal output'")
    assert pixel(driver, "b", 2, 12) == (255, 255, 255)
    assert pixel(driver, "b", 2, 20) == (0, 0, 0)
    Select(one(driver, "#gallery-comparison")).select_by_value("names/isbi2012/cpu")
    wait(driver, "return document.querySelector('[data-panel=a] strong').textContent == arguments[0]", f"A: {NAUGHTY}")


def test_the_slider_wipes_by_keyboard(page):
    driver = page()
    gallery(driver)
    slider = one(driver, "#gallery-cut")
    slider.send_keys(Keys.HOME)
    bottom = [pixel(driver, "wipe", x, SIZE - 2) for x in (1, SIZE - 2)]
    assert bottom == [(255,) * 3] * 2  # B alone
    slider.send_keys(Keys.END)
    assert pixel(driver, "wipe", SIZE - 2, SIZE - 2) == (0, 0, 0)  # A alone
    for _ in range(50):
        slider.send_keys(Keys.ARROW_LEFT)
    assert slider.get_attribute("value") == "50"
    assert pixel(driver, "wipe", SIZE // 2 - 1, SIZE - 2) == (0, 0, 0)
    assert pixel(driver, "wipe", SIZE // 2, SIZE - 2) == (255, 255, 255)
    assert slider.get_attribute("aria-valuetext") == "50 % A, 50 % B"


def test_errors_have_their_colours(page):
    driver = page()
    gallery(driver)
    assert not one(driver, "#gallery .colours").is_displayed()
    one(driver, "#gallery-mode-error").click()
    assert one(driver, "#gallery .colours").is_displayed()
    wait(driver, "return document.querySelector('#gallery .body').dataset.state == 'ready'")
    corner = SIZE - 2  # truth: the left half; A: the upper half
    assert pixel(driver, "a", 2, 2) == RIGHT_CELL
    assert pixel(driver, "a", corner, corner) == RIGHT_BACKGROUND
    assert pixel(driver, "a", corner, 2) == FALSE_CELL
    assert pixel(driver, "a", 2, corner) == MISSED_CELL
    assert "false cell 25.0 %, missed cell 25.0 %" in one(driver, "[data-panel=a]").text


def test_held_out_images_are_called_so(page):
    driver = page()
    gallery(driver)
    assert "image 24, held out" in one(driver, "[data-panel=image]").text
    assert "train/" not in one(driver, "#gallery").text


@pytest.mark.parametrize(
    ("width", "columns", "large"), [(1400, 5, 2), (1180, 5, 1), (900, 5, 1), (768, 3, 1), (390, 2, 1)]
)
def test_pictures_are_side_by_side_or_large_without_smoothing(page, width, columns, large):
    driver = page(width=width)
    gallery(driver)

    def in_first_row():
        tops = driver.execute_script(
            "return [...document.querySelectorAll('.panels figure')].map((node) => node.getBoundingClientRect().top)"
        )
        return sum(top == tops[0] for top in tops)

    assert in_first_row() == columns
    assert one(driver, "[data-panel=wipe] canvas").size["width"] >= (300 if width < 700 else 150)
    one(driver, "#gallery-size-large").click()
    wait(driver, "return document.querySelector('.panels').dataset.size == 'large'")
    assert in_first_row() == large
    assert one(driver, "[data-panel=a] canvas").value_of_css_property("image-rendering") == "pixelated"


def until_paper_is(driver: Any, colour: str) -> None:
    """Waits for a background: Chromium applies another colour scheme with its next frame."""
    WebDriverWait(driver, 15, 0.02).until(
        lambda _: one(driver, "html").value_of_css_property("background-color") == colour
    )


def test_the_theme_is_kept(page):
    driver = page()
    papers = {}
    for theme in ("light", "dark"):
        Select(one(driver, "#theme")).select_by_value(theme)
        papers[theme] = one(driver, "html").value_of_css_property("background-color")
    assert papers["light"] != papers["dark"]
    driver.refresh()
    wait(driver, "return 'ready' in document.documentElement.dataset")
    until_paper_is(driver, papers["dark"])
    Select(one(driver, "#theme")).select_by_value("auto")
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        until_paper_is(driver, papers[scheme])
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [360, 768, 1180, 1600])
def test_the_body_never_scrolls_sideways(page, width):
    driver = page(width=width)
    driver.execute_script("document.querySelector('#gallery-size-large').click()")
    driver.execute_script("for (const node of document.querySelectorAll('details')) node.open = true")
    charts(driver)
    gallery(driver)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_contents_lead_to_sections_and_comparisons_on_narrow_windows_too(page):
    data = sample(3)
    driver = page(data, width=360)
    menu = one(driver, "#menu")
    menu.send_keys(Keys.ENTER)
    assert [c["title"] for c in data["comparisons"]] == [
        link.text for link in driver.find_elements(By.CSS_SELECTOR, "#links ul a")
    ]
    one(driver, "#links ul a").click()
    assert menu.get_attribute("aria-expanded") == "false"
    top = driver.execute_script("return document.querySelector(':target').getBoundingClientRect().top")
    wait(driver, "return document.querySelector(':target').getBoundingClientRect().top < 200")
    assert top is not None


def test_the_first_stop_of_the_keyboard_skips_the_contents(page):
    driver = page()
    one(driver, "body").send_keys(Keys.TAB)
    assert driver.switch_to.active_element.get_attribute("class") == "skip"
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert driver.switch_to.active_element.get_attribute("id") == "main"


def test_every_control_has_a_name(page):
    driver = page()
    charts(driver)
    nameless = driver.execute_script(
        "return [...document.querySelectorAll('button, select, input')].filter((node) => !(node.textContent.trim() "
        "&& node.tagName == 'BUTTON') && !node.ariaLabel && !node.labels?.length).map((node) => node.outerHTML)"
    )
    assert nameless == []


def test_names_of_arms_stay_text(page):
    driver = page()
    assert driver.execute_script("return document.getElementById('inert')") is None
    unfold(driver, NAMES)
    legend = texts(driver, f"{NAMES} .legend button span")
    assert legend == [NAUGHTY, "plain"]


@pytest.mark.parametrize("complete", [False, True])
def test_a_suite_that_has_just_begun_says_what_is_missing(page, complete):
    data = sample(0)
    driver = page({**data, "made": {**data["made"], "complete": complete}})
    sections = driver.find_elements(By.CSS_SELECTOR, "main section:not(#deviations)")
    assert all(section.find_elements(By.CSS_SELECTOR, ".empty") for section in sections)
    assert one(driver, "#live").is_displayed() is not complete


def test_a_comparison_without_a_finished_run_is_shown(page):
    data = copy.deepcopy(sample(1))
    arm = {**data["comparisons"][0]["arms"][0], "planned": 3, "seeds": [], "runs": [], "curves": {}, "final": {},
           "images": {}, "settings": "", "tflop": None, "pixels_in": 0, "pixels_out": 0, "tiles": "",
           "steps": 0}  # fmt: skip
    data["comparisons"][0]["arms"] = [{**arm, "name": "572"}, {**arm, "name": "252"}]
    data["comparisons"][1] |= {"arms": [{**arm, "name": "none"}], "metrics": []}
    driver = page(data)
    part = charts(driver, drawn=".empty")
    assert "0 of 6 runs done" in part.text
    assert "no validation yet." in part.text
    assert "No finished run yet." in part.text
    assert "No runs yet" in unfold(driver, "details[data-id='weight_map/isbi2012/cpu']").text


def test_only_those_deviations_are_listed_that_are_asked_for(page):
    data = sample(3)
    driver = page(data)
    near(driver, "#deviations")
    one(driver, "#kind-paper").click()
    kinds = [row["kind"] for row in data["deviations"]]
    assert len(driver.find_elements(By.CSS_SELECTOR, "#deviations tbody tr")) == len(kinds) - kinds.count("paper")
    one(driver, "#kind-assumed").click()
    assert set(texts(driver, "#deviations tbody td:nth-child(3)")) == {"deviation"}


def test_choices_and_place_outlive_a_reload(page):
    driver = page(sample(3, complete=False))
    part = charts(driver)
    Select(part.find_element(By.CSS_SELECTOR, "select[id$=-metric]")).select_by_value("val_loss")
    Select(part.find_element(By.CSS_SELECTOR, "select[id$=-cost]")).select_by_value("pixels_out")
    part.find_element(By.CSS_SELECTOR, ".legend button[data-arm='572']").click()
    gallery(driver)
    Select(one(driver, "#gallery-b")).select_by_visible_text("380, equal output")
    one(driver, "#gallery-mode-error").click()
    one(driver, "#gallery-cut").send_keys(Keys.END)
    one(driver, "#pause").click()
    near(driver, "#gallery")
    place = driver.execute_script("return scrollY")
    driver.refresh()
    wait(driver, "return 'ready' in document.documentElement.dataset")
    assert driver.execute_script("return scrollY") == pytest.approx(place, abs=3)
    gallery(driver)
    assert Select(one(driver, "#gallery-b")).first_selected_option.text == "380, equal output"
    assert one(driver, "#gallery-mode-error").is_selected()
    assert one(driver, "#gallery-cut").get_attribute("value") == "100"
    assert one(driver, "#pause").text == "Resume reloading"
    assert one(driver, TILE_SIZE).get_attribute("open")
    part = charts(driver)
    assert Select(part.find_element(By.CSS_SELECTOR, "select[id$=-metric]")).first_selected_option.text == "val_loss"
    assert part.find_element(By.CSS_SELECTOR, ".chart[data-chart=cost] svg").get_attribute("data-cost") == "pixels_out"
    assert "572" not in lines(driver)


def test_the_page_reloads_by_itself_while_runs_are_trained_unless_paused(page):
    driver = page(
        sample(3, complete=False), edit=lambda text: text.replace('data-reload-seconds="30"', 'data-reload-seconds="1"')
    )
    assert "Still training." in one(driver, "#live").text
    driver.execute_script("window.before = true")
    wait(driver, "return !window.before && 'ready' in document.documentElement.dataset")
    driver.execute_script("document.getElementById('pause').click(); window.before = true")
    time.sleep(2.5)
    assert driver.execute_script("return window.before") is True


def test_images_that_are_not_there_are_said(page):
    data = dict(sample(1))
    data["gallery"] = {"tiles": {}, "predictions": {}, "missing": ["data set isbi2012 is not there; fetch it"]}
    driver = page(data)
    wait(driver, "return document.querySelector('#gallery .empty')")
    assert texts(driver, "#gallery .empty") == ["Images are not shown: data set isbi2012 is not there; fetch it."]


def test_an_address_with_a_place_leads_there(page):
    driver = page(anchor="#environment")
    wait(driver, "return document.querySelector('#environment').getBoundingClientRect().top < innerHeight")


def test_print_has_everything_drawn_and_unfolded(page, tmp_path):
    driver = page()
    driver.execute_script("""addEventListener("beforeprint", () => { window.seen = {
        charts: document.querySelectorAll(".chart").length, drawn: document.querySelectorAll(".chart > svg").length,
        closed: document.querySelectorAll("details:not([open])").length } })""")
    printed = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 50_000
    seen = wait(driver, "return window.seen")
    assert seen == {"charts": seen["charts"], "drawn": seen["charts"], "closed": 0}
    assert seen["charts"] > 30
    wait(driver, "return document.querySelectorAll('details[open]').length == 0")


def test_the_published_page_opens_without_errors_and_shows_no_missing_values(chromium: Any) -> None:
    chromium.get_log("browser")
    chromium.get((conf_dir().parent / "docs" / "page" / "index.html").as_uri())
    wait(chromium, "return 'ready' in document.documentElement.dataset")
    assert [entry for entry in chromium.get_log("browser") if entry["level"] != "INFO"] == []
    lines = one(chromium, "main").text.splitlines()
    assert "What was found" in lines
    assert not {"null", "undefined", "NaN"} & set(lines)
