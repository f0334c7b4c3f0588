"""Labels beside the axes stay apart."""

import numpy as np
import pytest

from lstm_baseline.plots.drawing import new_axes
from lstm_baseline.plots.layout import label_right, spread_out
from tests.support.figure_checks import renderer


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_line_leads_from_each_rung_to_its_label(scale):
    figure, axes = new_axes(5.4, 3.5)
    axes.set_yscale(scale)
    axes.set_ylim(0.001, 1.0)
    places = [0.002, 0.0021, 0.5]
    texts = label_right(axes, [(place, f"rung\n{place}") for place in places])
    draw = renderer(figure)
    boxes = [text.get_window_extent(draw) for text in texts]
    for place, box, lead in zip(places, boxes, axes.lines, strict=True):
        start, end = lead.get_transform().transform(lead.get_xydata())
        assert start[1] == pytest.approx(axes.transData.transform((0.5, place))[1])
        assert end[1] == pytest.approx((box.y0 + box.y1) / 2, abs=1.5)
    assert boxes[0].y1 <= boxes[1].y0


def test_labels_are_spread_no_further_than_needed():
    assert spread_out([10, 50], [10, 10], 0, 100) == [10, 50]
    assert spread_out([50, 50], [10, 10], 0, 100) == [45, 55]
    assert spread_out([98, 99], [10, 10], 0, 100) == [85, 95]
    assert spread_out([1], [10], 0, 100) == [5]
    assert spread_out([], [], 0, 1) == []


def test_spread_labels_never_overlap():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 9))
        wanted, sizes = np.sort(rng.uniform(0, 100, count)), rng.uniform(1, 12, count)
        places = np.array(spread_out(wanted, sizes, 0, 100))
        assert (np.diff(places) >= (sizes[1:] + sizes[:-1]) / 2 - 1e-9).all()
        assert places[0] - sizes[0] / 2 >= -1e-9
        assert places[-1] + sizes[-1] / 2 <= 100 + 1e-9
