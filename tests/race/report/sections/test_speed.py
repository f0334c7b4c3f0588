"""The figure of speed: who had reached the threshold by when."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.speed import reached_curves, reached_figure
from tests.support.figure_checks import assert_nothing_overlaps
from tests.support.figure_races import HOSTILE, outcome
from tests.support.races import CHANCE, LADDER, LadderTask, run


def reaches(step, *, last=300):
    """Return a run that reaches the threshold, 0.75, at a step; never if None."""
    steps = range(0, last + 1, 100)
    history = [0.9 if step is not None and k >= step else 0.3 for k in steps]
    return run(0.9, history=history, seconds=last / 100)


def test_share_of_all_seeds_by_steps():
    runs = [reaches(100), reaches(300), reaches(100), reaches(None), run(None)]
    data = reached_curves(outcome({"lstm": runs}))
    (curve,) = data.curves
    np.testing.assert_array_equal(curve.times, [100, 300])
    np.testing.assert_allclose(curve.share, [0.4, 0.6])
    assert (curve.num_reached, curve.num_seeds) == (3, 5)
    assert (curve.median, curve.end) == (300, 300)
    assert data.x_label == "training steps"
    assert data.threshold == "0.750, half way from last one to oracle"


def test_seconds_end_with_the_seed_that_took_longest():
    slow = reaches(None).model_copy(update={"seconds": 8.5})
    (curve,) = reached_curves(outcome({"lstm": [reaches(200), slow]}), "seconds").curves
    np.testing.assert_array_equal(curve.times, [2])
    np.testing.assert_allclose(curve.share, [0.5])
    assert (curve.median, curve.end) == (2, 8.5)


def test_nobody_got_there():
    (curve,) = reached_curves(outcome({"lstm": [reaches(None), run(None)]})).curves
    assert curve.times.shape == curve.share.shape == (0,)
    assert (curve.num_reached, curve.num_seeds) == (0, 2)
    assert curve.median == math.inf
    assert curve.end == 300


def test_no_rule_no_threshold():
    assert reached_curves(outcome({"lstm": [run(0.8)]}, LadderTask(()))) is None


def test_drawing_shows_the_data():
    data = reached_curves(
        outcome({"lstm": [reaches(100), reaches(200)], "gru": [reaches(300), run(None)]})
    )
    axes = reached_figure(data).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    lstm, gru = lines["LSTM: 2 of 2"], lines["GRU: 1 of 2"]
    np.testing.assert_array_equal(lstm.get_xdata(), [0, 100, 200, 300])
    np.testing.assert_array_equal(lstm.get_ydata(), [0, 0.5, 1, 1])
    np.testing.assert_array_equal(gru.get_xdata(), [0, 300, 300])
    np.testing.assert_array_equal(gru.get_ydata(), [0, 0.5, 0.5])
    assert lstm.get_drawstyle() == "steps-post"
    assert axes.get_xlabel().startswith("training steps\nthreshold: 0.750, half way")


@pytest.mark.parametrize("against", ["steps", "seconds"])
@pytest.mark.parametrize("ladder", [LADDER, (CHANCE,)])
def test_nothing_overlaps(against, ladder):
    for runs in (
        {"lstm": [reaches(100)], "gru": [run(None)]},
        {name: [reaches(100 * k) for k in range(1, 31)] for name in ("lstm", "gru", "relational")},
        {"lstm": [run(None, history=[], seconds=0.0)]},
    ):
        data = reached_curves(outcome(runs, LadderTask(ladder)), against)
        assert_nothing_overlaps(reached_figure(data))


def test_any_names_fit():
    ladder = (*LADDER[:-1], LADDER[-1]._replace(name=HOSTILE[0] * 3))
    of_task = outcome({name: [reaches(100), run(None)] for name in HOSTILE}, LadderTask(ladder))
    figure = reached_figure(reached_curves(of_task))
    assert_nothing_overlaps(figure)
    ET.fromstring(to_svg(figure))
