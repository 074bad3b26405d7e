"""The page of a batch: self-contained, one card an image, safe names, and a total."""

import cv2
import numpy as np
import pytest

from unet_repro.errors import ConfigError
from unet_repro.objects import sheet
from unet_repro.objects.sheet import Card, check_own, write_sheet
from unet_repro.objects.summary import Summary


def cards(folder, number):
    """Cards that exist one at a time."""
    picture = folder / "a.outlines.png"
    cv2.imwrite(str(picture), np.full((500, 300, 3), 90, np.uint8))
    for index in range(number):
        summary = Summary(objects=2, at_border=1, area_px=10, sizes=[0, 0, index, 1], probable_px=9.0, total_px=10.0)
        yield Card(f"<{index}>.tif", summary, "too dark" if index == 1 else None, picture, None, [folder / "#a b.tif"])


def test_a_page_shows_every_image_and_the_total(tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "MOST_PICTURES", 2)
    page = tmp_path / "index.html"
    write_sheet(page, cards(tmp_path, 3), title="a & b", notes=["note <1>"])
    text = page.read_text()
    assert text.count("<article") == 3
    assert text.count("data:image/jpeg") == 2
    assert "6 objects in 3 images; 1 unlike the training images" in text
    assert "&lt;2&gt;.tif" in text
    assert "<2>.tif" not in text
    assert "note &lt;1&gt;" in text
    assert 'href="%23a%20b.tif"' in text
    assert "confidence 0.900" in text
    assert "2 to 3 px: 3<" in text  # bin 2 of all images: 0 + 1 + 2
    check_own(page)
    page.write_text("mine")
    with pytest.raises(ConfigError, match="already exists"):
        check_own(page)
