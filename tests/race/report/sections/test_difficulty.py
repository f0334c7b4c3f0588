"""The figure of difficulty: scores and ladder over the values of an argument."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.difficulty import difficulty_curves, difficulty_figure
from tests.support.figure_checks import assert_nothing_overlaps, ladder_labels
from tests.support.figure_races import HOSTILE, sweep
from tests.support.races import CHANCE, ERROR_LADDER, HEURISTIC, LADDER, ORACLE

TWO = {"lstm": [[0.1, 0.3], [0.2, None]], "gru": [[0.4, 0.2], [None, None]]}


def test_mean_and_range_at_each_value():
    data = difficulty_curves(sweep((10, 20), TWO, ERROR_LADDER))
    lstm, gru = data.curves
    np.testing.assert_allclose(lstm.mean, [0.2, 0.2])
    np.testing.assert_allclose(lstm.low, [0.1, 0.2])
    np.testing.assert_allclose(lstm.high, [0.3, 0.2])
    np.testing.assert_array_equal(lstm.num_failed, [0, 1])
    np.testing.assert_allclose(gru.mean, [0.3, np.nan])
    np.testing.assert_array_equal(gru.num_failed, [0, 2])
    assert (data.argument, data.values, data.num_seeds) == ("length", (10, 20), 2)
    assert data.trained_at is None
    assert data.y_label == "test mean squared error\nlower is better"


def test_values_go_up():
    data = difficulty_curves(
        sweep((20, 5), TWO, lambda value: [ERROR_LADDER[0]._replace(score=value)])
    )
    assert data.values == (5, 20)
    np.testing.assert_allclose(data.curves[0].high, [0.2, 0.3])
    np.testing.assert_allclose(data.bounds[0].score, [5, 20])


def test_bounds_are_chance_the_best_heuristic_and_the_oracle():
    def ladder(value):
        rungs = (CHANCE, HEURISTIC, HEURISTIC._replace(name="better", score=1 - 1 / value), ORACLE)
        return rungs if value > 4 else rungs[:2]

    accuracy = {"lstm": [[0.5], [0.6]]}
    data = difficulty_curves(
        sweep((3, 5), accuracy, ladder, task="nth-farthest", vary="num_vectors")
    )
    assert [bound.name for bound in data.bounds] == ["chance", "best heuristic", "oracle"]
    np.testing.assert_allclose(data.bounds[0].score, [0.25, 0.25])
    np.testing.assert_allclose(data.bounds[1].score, [0.5, 0.8])
    np.testing.assert_array_equal(data.bounds[2].score, [np.nan, 1.0])
    # Where chance is the best heuristic it is not named twice.
    data = difficulty_curves(sweep((10, 20), TWO, ERROR_LADDER))
    assert [bound.name for bound in data.bounds] == ["chance", "oracle"]


def test_tested_beyond_training_is_said_and_marked():
    data = difficulty_curves(sweep((10, 200), TWO, ERROR_LADDER, train=False))
    assert data.trained_at == 50
    figure = difficulty_figure(data)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines["trained here"].get_xdata()) == [50, 50]
    said = " ".join(figure.axes[0].get_xlabel().split())
    assert said.endswith("trained at length = 50, tested beyond training")
    trained = difficulty_figure(difficulty_curves(sweep((10, 200), TWO, ERROR_LADDER)))
    assert "trained" not in trained.axes[0].get_xlabel()
    assert "trained here" not in [line.get_label() for line in trained.axes[0].lines]


def test_drawing_shows_the_data():
    data = difficulty_curves(sweep((10, 20), TWO, ERROR_LADDER))
    figure = difficulty_figure(data)
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    for curve, label in zip(data.curves, ("LSTM", "GRU"), strict=True):
        np.testing.assert_array_equal(lines[label].get_xdata(), [10, 20])
        np.testing.assert_array_equal(lines[label].get_ydata(), curve.mean)
    ranges = axes.collections[0].get_segments()
    np.testing.assert_allclose(ranges[0], [[10, 0.1], [10, 0.3]])
    crosses = [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "x"]
    assert crosses == [[20], [20]]
    assert [text.get_text() for text, _ in ladder_labels(figure)] == [
        "oracle\n0.000",
        "chance\n0.400",
    ]
    assert axes.get_xlabel() == "length\nmean and range of 2 seeds; ×: a seed failed"


def test_lines_of_contestants_stand_aside_of_each_other():
    scores = {name: [[0.2], [0.3]] for name in ("lstm", "gru", "own")}
    figure = difficulty_figure(difficulty_curves(sweep((10, 20), scores, ERROR_LADDER)))
    axes = figure.axes[0]
    places = [
        line.get_transform().transform((10.0, 0.2))[0] - axes.transData.transform((10.0, 0.2))[0]
        for line in axes.lines[:6:2]
    ]
    np.testing.assert_allclose(np.diff(places), 3.5 / 72 * 100)
    assert places[1] == pytest.approx(0, abs=1e-6)


def test_values_that_go_far_are_on_a_logarithmic_axis():
    def axes(*values):
        scores = {"lstm": [[0.2]] * len(values)}
        return difficulty_figure(difficulty_curves(sweep(values, scores, ERROR_LADDER))).axes[0]

    assert axes(10, 100).get_xscale() == "log"
    assert axes(10, 99).get_xscale() == "linear"
    labels = axes(10, 1000, 100_000).get_xticklabels()
    assert [text.get_text() for text in labels] == ["10", "1,000", "100,000"]


def test_values_that_are_no_numbers_stand_side_by_side():
    data = difficulty_curves(sweep((10, 20), TWO, ERROR_LADDER, train=False))
    words = data._replace(argument="kind", values=("hard", "easy"), trained_at="easy")
    axes = difficulty_figure(words).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["hard", "easy"]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["trained here"].get_xdata()) == [1, 1]
    elsewhere = difficulty_figure(words._replace(trained_at="other")).axes[0]
    assert "trained here" not in [line.get_label() for line in elsewhere.lines]
    assert "trained at kind = other" in elsewhere.get_xlabel()


@pytest.mark.parametrize("values", [(4,), (4, 5), (2, 3, 5, 10, 1000), range(2, 60)])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("score", [None, 0.2, 1e12])
def test_nothing_overlaps(values, train, score):
    scores = {name: [[score, 0.3]] * len(values) for name in ("lstm", "gru", "own")}
    figure = difficulty_figure(difficulty_curves(sweep(values, scores, ERROR_LADDER, train=train)))
    assert_nothing_overlaps(figure)


@pytest.mark.parametrize("ladder", [LADDER, ()])
def test_any_names_fit_and_nothing_finished(ladder):
    scores = {name: [[None], [None]] for name in HOSTILE}
    data = difficulty_curves(sweep((10, 20), scores, ladder))
    figure = difficulty_figure(data._replace(argument=HOSTILE[1], values=HOSTILE[:2]))
    assert_nothing_overlaps(figure)
    ET.fromstring(to_svg(figure))
