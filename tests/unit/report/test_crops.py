import numpy as np

from unet_repro.evaluation.measured import Assessment, ImageMeasures
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.report.crops import FALSE_CELL, MISSED_CELL, draw_cases, error_colours


def test_errors_are_coloured_by_their_kind():
    truth, predicted = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 1, 0, 1]], np.uint8)
    colours = error_colours(predicted, truth)[0]
    assert colours[1].tolist() == list(FALSE_CELL)
    assert colours[2].tolist() == list(MISSED_CELL)
    assert colours[0].max() < colours[3].min()


def test_crops_never_show_a_whole_image(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    shapes = []
    honest = Axes.imshow
    monkeypatch.setattr(
        Axes, "imshow", lambda self, shown, **k: (shapes.append(shown.shape[:2]), honest(self, shown, **k))[1]
    )
    rng = np.random.default_rng(0)
    truth = np.zeros((64, 80), np.int32)
    truth[4:30, 4:40], truth[34:60, 44:76] = 1, 2
    measured = [
        ImageMeasures(f"k{number}", "", {}, {"iou": 0.5}, InstanceSettings(), np.array([number / 3]), None)
        for number in range(4)
    ]
    case = (rng.normal(size=(1, 64, 80)).astype(np.float32), truth, (truth > 0).astype(np.float32), None)
    found = Assessment(
        "group", "data", ("membrane", "cell"), {"seed 0": measured}, "labels", "others",
        cases={m.key: case for m in measured},
    )  # fmt: skip
    draw_cases([found], tmp_path / "c.jpg")
    assert set(shapes) == {(32, 32)}
    assert (tmp_path / "c.jpg").exists()
