"""The report's page in real Chromium, from a file and without a network."""

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_sample import NAUGHTY, SIZE, sample

from unet_repro.report.page import render

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
TILE_SIZE = "article[data-id='tile_size/isbi2012/cpu']"
FALSE_CELL, MISSED_CELL, RIGHT_CELL, RIGHT_BACKGROUND = (0, 114, 178), (213, 94, 0), (217,) * 3, (64,) * 3
Open = Callable[..., Any]


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
        path.write_text(edit(render(sample(78, complete=True) if data is None else data)), encoding="utf-8")
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


def charts(driver: Any, drawn: str = "svg") -> Any:
    """The first comparison, its charts drawn, or said to have nothing to draw."""
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


def test_every_verdict_stands_with_its_word_and_what_it_holds_for(page):
    data = sample(78)
    driver = page(data)
    rows = driver.find_elements(By.CSS_SELECTOR, "table.verdicts tr[data-verdict]")
    assert len(rows) == len(data["verdicts"])
    for row, verdict in zip(rows, data["verdicts"], strict=True):
        assert verdict["claim"] in row.text
        assert verdict["statement"] in row.text
        assert row.find_element(By.CSS_SELECTOR, ".verdict strong").text == verdict["verdict"]
        assert row.find_element(By.CSS_SELECTOR, ".verdict svg").is_displayed()
        assert row.find_element(By.CSS_SELECTOR, ".label").text == verdict["label"]
        assert len(row.find_elements(By.CSS_SELECTOR, "svg.forest")) == bool(verdict["effects"])
    assert "about 12 needed" in rows[0].text
    first = driver.execute_script("return document.querySelector('main section').id")
    assert first == "verdicts"


def test_a_verdict_unfolds_to_reason_rule_effects_and_its_comparison(page):
    driver = page()
    button = one(driver, "button[aria-label='Details of C1']")
    more = one(driver, f"#{button.get_attribute('aria-controls')}")
    assert not more.is_displayed()
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-expanded") == "true"
    verdict = sample(78)["verdicts"][0]
    for text in (
        verdict["reason"],
        verdict["rule"],
        verdict["source"],
        *verdict["guard"]["findings"],
    ):
        assert text in more.text
    assert len(more.find_elements(By.CSS_SELECTOR, "table.data tbody tr")) == len(verdict["effects"])
    more.find_element(By.CSS_SELECTOR, "a").click()
    assert driver.execute_script("return document.querySelector(':target').dataset.id") == verdict["comparison"]


def test_the_metric_changes_curves_scores_and_readings(page):
    driver = page()
    part = charts(driver)
    before, readings = lines(driver), texts(driver, f"{TILE_SIZE} .reading")
    scores = part.find_element(By.CSS_SELECTOR, ".chart[data-chart=scores]").get_attribute("innerHTML")
    Select(part.find_element(By.CSS_SELECTOR, "select[id$=-metric]")).select_by_visible_text("validation cross-entropy")
    assert lines(driver).keys() == before.keys()
    assert all(path != before[arm] for arm, path in lines(driver).items())
    assert texts(driver, f"{TILE_SIZE} .reading") != readings
    assert part.find_element(By.CSS_SELECTOR, ".chart[data-chart=scores]").get_attribute("innerHTML") != scores
    assert "validation cross-entropy, lower is better" in part.text


def test_arms_are_hidden_and_shown_in_all_charts(page):
    driver = page()
    part = charts(driver)
    button = part.find_element(By.CSS_SELECTOR, ".legend button[data-arm='380, equal input']")
    assert button.get_attribute("aria-pressed") == "true"
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "false"
    assert list(lines(driver)) == ["572", "252, equal input", "380, equal output"]
    marked = [node.get_attribute("data-arm") for node in part.find_elements(By.CSS_SELECTOR, ".chart [data-arm]")]
    assert "380, equal input" not in marked
    button.click()
    assert len(lines(driver)) == 4
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
    assert len(set(looks)) == 4


def test_single_seeds_are_drawn_on_request(page):
    driver = page()
    part = charts(driver)
    assert part.find_elements(By.CSS_SELECTOR, "path.seed") == []
    part.find_element(By.CSS_SELECTOR, "input[id$=-seeds]").click()
    assert len(part.find_elements(By.CSS_SELECTOR, "path.seed")) == 12


def test_the_keyboard_reads_curves_at_any_step(page):
    data = sample(78)
    driver = page(data)
    part = charts(driver)
    slider = part.find_element(By.CSS_SELECTOR, "input[id$=-step]")
    slider.send_keys(Keys.HOME)
    assert part.find_element(By.CSS_SELECTOR, ".at").text == "at step 10"
    curve = data["comparisons"][0]["arms"][0]["curves"]["val/iou"]
    middle = sorted(seed[0] for seed in curve["values"])[1]
    shown = texts(driver, f"{TILE_SIZE} .reading")[0]
    assert float(shown.split()[0].replace("−", "-")) == pytest.approx(middle, abs=1e-3)
    slider.send_keys(Keys.ARROW_RIGHT)
    assert slider.get_attribute("aria-valuetext") == "step 20"


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
    seen = set()
    for cost in ("seconds", "pixels_in", "pixels_out"):
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
    Select(one(driver, "#gallery-b")).select_by_visible_text("252, equal input")
    wait(driver, "return document.querySelector('[data-panel=b] strong').textContent == 'B: 252, equal input'")
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


def test_zoom_enlarges_without_smoothing(page):
    driver = page()
    gallery(driver)
    for zoom in (1, 3):
        one(driver, f"#gallery-zoom-{zoom}").click()
        wait(driver, "return document.querySelector('[data-panel=a] canvas').clientWidth == arguments[0]", zoom * SIZE)
    assert one(driver, "[data-panel=a] canvas").value_of_css_property("image-rendering") == "pixelated"


def test_the_theme_is_kept(page):
    driver = page()
    papers = {}
    for theme in ("light", "dark"):
        Select(one(driver, "#theme")).select_by_value(theme)
        papers[theme] = one(driver, "html").value_of_css_property("background-color")
    assert papers["light"] != papers["dark"]
    driver.refresh()
    wait(driver, "return 'ready' in document.documentElement.dataset")
    assert one(driver, "html").value_of_css_property("background-color") == papers["dark"]
    Select(one(driver, "#theme")).select_by_value("auto")
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        assert one(driver, "html").value_of_css_property("background-color") == papers[scheme]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [360, 768, 1180, 1600])
def test_the_body_never_scrolls_sideways(page, width):
    driver = page(sample(78), width=width)
    driver.execute_script(
        "for (const node of document.querySelectorAll('.verdicts button, #gallery-zoom-3')) node.click()"
    )
    driver.execute_script("for (const node of document.querySelectorAll('details')) node.open = true")
    charts(driver)
    gallery(driver)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_contents_lead_to_sections_and_comparisons_on_narrow_windows_too(page):
    data = sample(78)
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
    near(driver, "article[data-id='names/isbi2012/cpu']")
    legend = texts(driver, "article[data-id='names/isbi2012/cpu'] .legend button span")
    assert legend == [NAUGHTY, "plain"]


@pytest.mark.parametrize("complete", [False, True])
def test_a_suite_that_has_just_begun_says_what_is_missing(page, complete):
    driver = page(sample(0, complete=complete))
    sections = driver.find_elements(By.CSS_SELECTOR, "main section")
    assert all(section.find_elements(By.CSS_SELECTOR, ".empty") for section in sections)
    assert one(driver, "#live").is_displayed() is not complete


def test_a_comparison_without_a_finished_run_is_shown(page):
    data = sample(26)
    arm = {"planned": 3, "seeds": [], "run_ids": [], "curves": {}, "final": {}, "seconds": [], "pixels_in": 0,
           "pixels_out": 0, "tiles": "", "steps": 0}  # fmt: skip
    data["comparisons"][0]["arms"] = [{**arm, "name": "572"}, {**arm, "name": "252"}]
    data["comparisons"][1] |= {"arms": [{**arm, "name": "none"}], "metrics": []}
    data["verdicts"][0]["guard"]["fair"] = None
    driver = page(data)
    part = charts(driver, drawn=".empty")
    assert "0 of 6 runs done" in part.text
    assert "No validation yet." in part.text
    assert "No finished run yet." in part.text
    assert "No runs yet" in near(driver, "article[data-id='weight_map/isbi2012/cpu']").text


def test_only_those_deviations_are_listed_that_are_asked_for(page):
    data = sample(78)
    driver = page(data)
    near(driver, "#deviations")
    one(driver, "#kind-paper").click()
    kinds = [row["kind"] for row in data["deviations"]]
    assert len(driver.find_elements(By.CSS_SELECTOR, "#deviations tbody tr")) == len(kinds) - kinds.count("paper")
    one(driver, "#kind-assumed").click()
    assert set(texts(driver, "#deviations tbody td:nth-child(3)")) == {"deviation"}


def test_choices_and_place_outlive_a_reload(page):
    driver = page(sample(78))
    part = charts(driver)
    Select(part.find_element(By.CSS_SELECTOR, "select[id$=-metric]")).select_by_value("val/loss")
    Select(part.find_element(By.CSS_SELECTOR, "select[id$=-cost]")).select_by_value("pixels_out")
    part.find_element(By.CSS_SELECTOR, ".legend button[data-arm='572']").click()
    driver.execute_script("document.querySelector('button[aria-label=\"Details of C2\"]').click()")
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
    assert one(driver, "button[aria-label='Details of C2']").get_attribute("aria-expanded") == "true"
    part = charts(driver)
    assert (
        Select(part.find_element(By.CSS_SELECTOR, "select[id$=-metric]")).first_selected_option.text
        == "validation cross-entropy"
    )
    assert part.find_element(By.CSS_SELECTOR, ".chart[data-chart=cost] svg").get_attribute("data-cost") == "pixels_out"
    assert "572" not in lines(driver)


def test_the_page_reloads_by_itself_while_runs_are_trained_unless_paused(page):
    driver = page(sample(26), edit=lambda text: text.replace('data-reload-seconds="30"', 'data-reload-seconds="1"'))
    assert "Still training." in one(driver, "#live").text
    driver.execute_script("window.before = true")
    wait(driver, "return !window.before && 'ready' in document.documentElement.dataset")
    driver.execute_script("document.getElementById('pause').click(); window.before = true")
    time.sleep(2.5)
    assert driver.execute_script("return window.before") is True


def test_images_that_are_not_there_are_said(page):
    data = sample(26)
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
        closed: document.querySelectorAll("details:not([open]), tr.more[hidden]").length } })""")
    printed = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 50_000
    seen = wait(driver, "return window.seen")
    assert seen == {"charts": 19, "drawn": 19, "closed": 0}
    wait(driver, "return document.querySelectorAll('details[open], tr.more:not([hidden])').length == 0")


def test_two_hundred_runs_open_quickly_and_the_file_stays_small(page, tmp_path):
    data = sample(208, complete=True)
    assert len(json.dumps(data)) < 15e6
    driver = page(data)
    started = driver.execute_script("return performance.getEntriesByType('navigation')[0].domComplete")
    size = (tmp_path / "index.html").stat().st_size
    print(f"208 runs: {size / 1e6:.1f} MB, complete after {started:.0f} ms")
    assert size < 15e6
