"""The exported page finds and measures objects as the prediction here does."""

import csv
import io

import numpy as np
import pytest
from page_scripts import call, copy_scripts, needs_node
from scipy import ndimage

from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.inference.instances import to_instances
from unet_repro.objects import table
from unet_repro.objects.measure import inner_border, measure
from unet_repro.objects.planes import ObjectPlane
from unet_repro.objects.summary import Summary

pytestmark = needs_node
NAMES = "labelObjects, measureObjects, innerBorder, sizeHistogram, tableHeader, tableRows"


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = copy_scripts(tmp_path_factory.mktemp("scripts"))
    (folder / "both.js").write_text('export * from "./objects.js";\nexport * from "./table.js";\n')
    return folder


def probabilities(seed, size, sigma):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(size), sigma)
    return np.float32(0.5 + smooth / (4 * smooth.std())).clip(0, 1)


CASES = [
    (probabilities(0, (60, 83), 1.5), InstanceSettings(0.5)),
    (probabilities(1, (60, 83), 1.0), InstanceSettings(0.7, min_size_px=12)),
    (probabilities(2, (1, 40), 1.0), InstanceSettings(0.5, min_size_px=2)),
    (probabilities(3, (40, 1), 1.0), InstanceSettings(0.3)),
    (np.full((9, 9), np.float32(0.7)), InstanceSettings(0.7)),  # equal after rounding to float32
    (np.zeros((9, 9), np.float32), InstanceSettings(0.5)),
]


@pytest.mark.parametrize(("probability", "settings"), CASES)
def test_objects_and_their_table_are_the_same(probability, settings, scripts):
    height, width = probability.shape
    image = np.random.default_rng(4).integers(0, 65536, (2, height, width)).astype(np.uint16)
    expected = to_instances(probability, settings)
    expression = """(() => {
        const { probability, planes, width, height, settings } = given;
        const chance = Float32Array.from(probability);
        const { labels, count } = labelObjects(chance, width, height, settings);
        const objects = measureObjects(labels, count, width, height, planes, chance);
        return { labels: Array.from(labels), border: Array.from(innerBorder(labels, width, height)),
                 sizes: sizeHistogram(objects.map((object) => object.area)),
                 table: tableHeader(planes.length) + tableRows('a "b", c.tif', 3, objects) };
    })()"""
    given = {
        "probability": probability.ravel().tolist(),
        "planes": image.reshape(2, -1).tolist(),
        "width": width,
        "height": height,
        "settings": {"threshold": settings.threshold, "minSize": settings.min_size_px},
    }
    found = call(scripts, f"{NAMES} from both", expression, given)
    np.testing.assert_array_equal(np.reshape(found["labels"], expected.shape), expected)
    np.testing.assert_array_equal(np.reshape(found["border"], expected.shape), inner_border(np.pad(expected, 1)))
    measures = measure(
        ObjectPlane(
            labels=lambda top, rows: expected[top : top + rows],
            image=lambda top, rows: image[:, top : top + rows],
            probability=lambda top, rows: probability[top : top + rows],
            shape_hw=expected.shape,
            channels=2,
        ),
        int(expected.max()),
    )
    summary = Summary()
    if len(measures.area):
        summary.add(measures)
    assert found["sizes"] == summary.sizes
    same_table(found["table"], table.header(2) + "".join(table.rows('a "b", c.tif', 3, measures, None)))


def same_table(found, expected):
    """All columns but those in micrometres, within one of the last digit."""
    given, wanted = (list(csv.DictReader(io.StringIO(text))) for text in (found, expected))
    assert len(given) == len(wanted)
    for row, like in zip(given, wanted, strict=True):
        assert list(row) == [name for name in like if not name.endswith("_um") and not name.endswith("_um2")]
        assert row["image"] == like["image"]
        for name in list(row)[1:]:
            assert float(row[name]) == pytest.approx(float(like[name]), abs=1.01e-4), name
