import numpy as np

from unet_repro.data.labels import IGNORED
from unet_repro.inspection.page import outlined, write_page


def test_outlines_lie_on_the_edges_of_objects_and_ignored_pixels_are_dimmed():
    image = np.full((9, 9), 90, np.uint8)
    image[0, 0], image[8, 8] = 0, 180
    labels = np.zeros((9, 9), np.int32)
    labels[2:7, 2:7] = 1
    classes = (labels > 0).astype(np.uint8)
    classes[0] = IGNORED
    shown = outlined(image, labels, classes)
    coloured = shown.max(axis=-1) != shown.min(axis=-1)
    inner = np.zeros((9, 9), bool)
    inner[3:6, 3:6] = True
    assert np.array_equal(coloured, (labels > 0) & ~inner)
    assert shown[0, 5].max() < shown[1, 5].min()


def test_a_page_needs_no_other_file_and_escapes_names(tmp_path):
    write_page(tmp_path / "new/page.html", ["<script>alert(1)</script>"], ["<h2>Images</h2>"])
    text = (tmp_path / "new/page.html").read_text()
    assert "<script" not in text
    assert "src=" not in text
    assert "<h2>Images</h2>" in text
