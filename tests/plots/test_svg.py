"""SVG for light and dark pages."""

import xml.etree.ElementTree as ET

from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.curves import learning_curves, learning_curves_figure
from tests.support.figure_races import two_models
from tests.support.races import CHANCE, ORACLE, LadderTask


def test_svg_is_xml_for_light_and_dark_pages_and_the_same_each_time():
    figure = learning_curves_figure(learning_curves(two_models()))
    svg = to_svg(figure)
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert b"prefers-color-scheme:dark" in svg
    assert b"var(--ink)" in svg
    assert svg == to_svg(learning_curves_figure(learning_curves(two_models())))


def test_any_name_is_drawn_as_it_is():
    ladder = (CHANCE._replace(name="$\\frac{$ 100% <b> & 模"), ORACLE._replace(name="-->"))
    figure = learning_curves_figure(learning_curves(two_models(task=LadderTask(ladder))))
    ET.fromstring(to_svg(figure))
