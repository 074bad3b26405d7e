"""A run exported as a page segments files in real Chromium as it does here, without a network."""

import csv
import json
import shutil
import time

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage
from trained import random_run

from unet_repro.commands import export
from unet_repro.data.normalise import Normalisation
from unet_repro.export.npm import PACKAGES
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.predict import predict
from unet_repro.prediction.jobs import PredictSettings
from unet_repro.runs.network import open_network
from unet_repro.runs.object_settings import write_choice

webdriver = pytest.importorskip("selenium.webdriver")
pytest.importorskip("onnxscript")
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
CACHED = [package.cached for package in PACKAGES]  # of the person who runs the tests: their home is replaced later
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"),
    pytest.mark.skipif(
        not all(path.exists() for path in CACHED),
        reason=f"needs {' and '.join(map(str, PACKAGES))} in the cache: python -m unet_repro.export.npm",
    ),
]
WITHIN = 1e-4
CARRY = """
    const input = Object.assign(document.createElement("input"), { id: "carrier", type: "file", multiple: true });
    document.body.append(input);
"""
DROP = """
    const transfer = new DataTransfer();
    for (const file of document.getElementById("carrier").files) transfer.items.add(file);
    for (const type of ["dragenter", "dragover", "drop"]) {
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }
"""


def smooth(shape, top, dtype, seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.0, axes=(0, 1))
    return ((noise - noise.min()) / np.ptp(noise) * top).astype(dtype)


EM = smooth((203, 341), 255, np.uint8)


def threshold_at(network, image, share):
    """The probability that this share of the pixels does not reach: a random network's are nearly all above 0.5."""
    return round(float(np.quantile(network.predict_proba(image)[1], share)), 4)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    for package, cached in zip(PACKAGES, CACHED, strict=True):
        (folder / package.file_name).symlink_to(cached)
    return folder


def exported(folder, packages):
    export.main([f"run={folder}", f"output={folder.parent / 'model.html'}", f"packages={packages}"])
    return folder.parent / "model.html"


@pytest.fixture(scope="module")
def grey(tmp_path_factory, packages):
    """A run on grey images with settings that evaluation chose, and its page."""
    run = random_run(tmp_path_factory.mktemp("grey") / "run", normalisation=Normalisation((128.0,), (900.0,)))
    network = open_network(run)
    chosen = InstanceSettings(threshold_at(network, EM, 0.6), min_size_px=4)
    write_choice(network.folder, "best", chosen, num_images=3)
    return run, exported(run, packages)


@pytest.fixture(scope="module")
def colour(tmp_path_factory, packages):
    """A run on RGB images with three classes and instance norm, and its page."""
    run = tmp_path_factory.mktemp("colour") / "run"
    random_run(
        run,
        "model.norm=instance",
        "data.classes=[background,nucleus,cytoplasm]",
        normalisation=Normalisation((90.0, 100.0, 110.0), (50.0, 60.0, 70.0)),
        class_names=("background", "nucleus", "cytoplasm"),
    )
    return run, exported(run, packages)


class Page:
    """An exported page in Chromium."""

    def __init__(self, driver, downloads):
        self.driver, self.downloads = driver, downloads

    def open(self, path):
        self.driver.get(path.as_uri())
        self.wait("'ready' in document.documentElement.dataset")
        return self

    def wait(self, condition):
        WebDriverWait(self.driver, 60, 0.05).until(lambda driver: driver.execute_script(f"return {condition}"))

    def drop(self, *paths):
        """Drops files on the page, and waits until none of them waits."""
        self.driver.execute_script(CARRY)
        self.one("#carrier").send_keys("\n".join(map(str, paths)))
        self.driver.execute_script(DROP)
        self.driver.execute_script("document.getElementById('carrier').remove()")
        self.wait("document.getElementById('status').textContent === 'Done.'")

    def choose(self, *paths):
        """Chooses files with the button."""
        self.one("#files").send_keys("\n".join(map(str, paths)))
        self.wait("document.getElementById('status').textContent === 'Done.'")

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        return [node.text for node in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def save(self, what, name):
        """The file that a button saves."""
        self.one(f"button[data-save={what}]").click()
        path, until = self.downloads / name, time.monotonic() + 30
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.05)
        return path


@pytest.fixture(scope="module")
def chromium():
    options = Options()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium, tmp_path):
    """A page; no test may leave an error in its console, or cause a request to anything but the file itself."""
    downloads = tmp_path / "downloads"
    allowed = {"behavior": "allow", "downloadPath": str(downloads)}
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    yield Page(chromium, downloads)
    assert [entry for entry in chromium.get_log("browser") if entry["level"] != "INFO"] == []
    messages = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    requested = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert requested
    assert {url.split(":")[0] for url in requested} <= {"file", "blob", "data"}


def saved_probability(path):
    with Image.open(path) as image:
        return np.asarray(image) / 65535


def test_a_dropped_file_gives_the_runs_probabilities_objects_and_table(grey, page, tmp_path):
    run, html = grey
    cv2.imwrite(str(tmp_path / "em.png"), EM)
    page.open(html).drop(tmp_path / "em.png")
    found = saved_probability(page.save("probability", "em.probability.png"))
    np.testing.assert_allclose(found, open_network(run).predict_proba(EM)[1], atol=WITHIN)
    predict(PredictSettings(run, str(tmp_path / "em.png"), tmp_path / "here.tif", kind="instances", page=False))
    with Image.open(page.save("labels", "em.labels.png")) as labels:
        np.testing.assert_array_equal(np.asarray(labels), tifffile.imread(tmp_path / "here.tif"))
    given, wanted = (
        list(csv.DictReader(path.read_text().splitlines()))
        for path in (page.save("table", "em.objects.csv"), tmp_path / "here.objects.csv")
    )
    assert len(given) == len(wanted) > 10
    assert page.one("#count").text == f"{len(wanted):,}"
    for row, like in zip(given, wanted, strict=True):
        for name in set(row) - {"image", "mean_probability"}:
            assert float(row[name]) == pytest.approx(float(like[name]), abs=1.01e-4), name
        assert row["image"] == like["image"]
        assert float(row["mean_probability"]) == pytest.approx(float(like["mean_probability"]), abs=0.003)  # 8 bits


def test_several_files_of_all_kinds_are_segmented_one_after_the_other(grey, page, tmp_path):
    run, html = grey
    network = open_network(run)
    stack = smooth((61, 97, 2), 400, np.uint16).transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack", compression="lzw")
    cv2.imwrite(str(tmp_path / "deep.png"), smooth((50, 40), 400, np.uint16))
    cv2.imwrite(str(tmp_path / "photo.jpg"), smooth((64, 48), 255, np.uint8))
    page.open(html).choose(tmp_path / "stack.tif", tmp_path / "deep.png", tmp_path / "photo.jpg")
    names = ["stack.tif, page 1", "stack.tif, page 2", "deep.png", "photo.jpg"]
    assert page.texts("#list .name") == names
    assert all("object" in state for state in page.texts("#list .state"))
    images = [*stack, smooth((50, 40), 400, np.uint16), cv2.imread(str(tmp_path / "photo.jpg"), cv2.IMREAD_UNCHANGED)]
    saved = ["stack_page1", "stack_page2", "deep", "photo"]
    for number, (image, name) in enumerate(zip(images, saved, strict=True)):
        page.driver.find_elements(By.CSS_SELECTOR, "#list .open")[number].click()
        found = saved_probability(page.save("probability", f"{name}.probability.png"))
        np.testing.assert_allclose(found, network.predict_proba(image)[1], atol=WITHIN)
    rows = list(csv.DictReader(page.save("table-all", "objects.csv").read_text().splitlines()))
    assert {(row["image"], row["plane"]) for row in rows} >= {("stack.tif", "1"), ("stack.tif", "2"), ("deep.png", "1")}


def test_classes_of_colour_images_are_the_runs(colour, page, tmp_path):
    run, html = colour
    image = smooth((90, 120, 3), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "stain.png"), image[..., ::-1])
    page.open(html).drop(tmp_path / "stain.png")
    expected = open_network(run).predict_proba(image.transpose(2, 0, 1))
    found = saved_probability(page.save("probability", "stain.probability.png"))
    np.testing.assert_allclose(found, 1 - expected[0], atol=WITHIN)
    with Image.open(page.save("classes", "stain.classes.png")) as classes:
        clear = np.sort(expected, 0)[-1] - np.sort(expected, 0)[-2] > WITHIN
        np.testing.assert_array_equal(np.asarray(classes)[clear], expected.argmax(0)[clear])
    assert [text.split(":")[0] for text in page.texts("#classes li")] == ["background", "nucleus", "cytoplasm"]


def test_what_cannot_be_segmented_says_why_and_the_others_go_on(grey, page, tmp_path):
    (tmp_path / "notes.pdf").write_bytes(b"%PDF-1.7")
    cv2.imwrite(str(tmp_path / "stain.png"), smooth((40, 40, 3), 255, np.uint8))
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((40, 40), 7, np.uint8))
    cv2.imwrite(str(tmp_path / "good.png"), smooth((40, 40), 255, np.uint8))
    page.open(grey[1]).drop(*(tmp_path / name for name in ("notes.pdf", "stain.png", "flat.png", "good.png")))
    assert page.texts("#list .state")[:3] == ["not segmented"] * 3
    assert "PNG, JPEG and TIFF" in page.one("#failure").text
    for number, reason in ((1, "3 channels (red, green, blue), the network takes 1"), (2, "every pixel is 7")):
        page.driver.find_elements(By.CSS_SELECTOR, "#list .open")[number].click()
        assert reason in page.one("#failure").text
    page.driver.find_elements(By.CSS_SELECTOR, "#list .away")[0].click()
    assert page.texts("#list .name") == ["stain.png", "flat.png", "good.png"]


def test_another_threshold_finds_other_objects_without_a_new_prediction(grey, page, tmp_path):
    run, html = grey
    network = open_network(run)
    chosen, other = threshold_at(network, EM, 0.6), threshold_at(network, EM, 0.8)
    cv2.imwrite(str(tmp_path / "em.png"), EM)
    page.open(html).drop(tmp_path / "em.png")
    threshold, count = page.one("#threshold"), page.one("#count").text
    assert float(threshold.get_attribute("value")) == chosen
    assert page.one("#min-size").get_attribute("value") == "4"
    threshold.clear()
    threshold.send_keys(f"{other}\t")
    page.wait(f"document.getElementById('count').textContent !== '{count}'")
    pieces, _ = ndimage.label(network.predict_proba(EM)[1] >= np.float32(other))
    assert page.one("#count").text == f"{(np.bincount(pieces.ravel())[1:] >= 4).sum():,}"
    page.one("#reset").click()
    page.wait(f"document.getElementById('count').textContent === '{count}'")
