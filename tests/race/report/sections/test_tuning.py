"""The figure of tuning: what so many trials are expected to give."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.tuning import tuning_curves, tuning_curves_figure
from tests.support.figure_checks import assert_nothing_overlaps
from tests.support.figure_races import HOSTILE, outcome
from tests.support.races import CHANCE, ERROR_LADDER, LADDER, LadderTask, run


def trial(score, seconds=2.0):
    """Return a tuning run with a best validation score, None for a failure."""
    return run(score).model_copy(update={"validation_score": score, "seconds": seconds})


def tuned(scores, task=None):
    """Return the curves of trials with such scores, by contestant."""
    trials = {name: [trial(score) for score in of_name] for name, of_name in scores.items()}
    return tuning_curves(outcome({name: [run(0.8)] for name in scores}, task, trials=trials))


def test_expected_best_of_every_budget():
    data = tuned({"lstm": [0.5, 0.9, 0.7], "gru": [0.6, 0.6, 0.6]})
    lstm, gru = data.curves
    # Best of two of the three: 0.9 in two cases, 0.7 in one.
    np.testing.assert_allclose(lstm.expected, [0.7, (0.9 + 0.9 + 0.7) / 3, 0.9])
    np.testing.assert_allclose(gru.expected, 0.6)
    np.testing.assert_allclose(lstm.seconds, [2, 4, 6])
    assert (lstm.model, lstm.num_failed) == ("lstm", 0)
    assert data.y_label == "expected best\nvalidation accuracy\nhigher is better"
    assert data.ladder == LADDER


def test_lower_may_be_better():
    data = tuned({"lstm": [0.3, 0.1, 0.2]}, LadderTask(ERROR_LADDER, higher_is_better=False))
    np.testing.assert_allclose(data.curves[0].expected, [0.2, (0.1 + 0.1 + 0.2) / 3, 0.1])


def test_seconds_are_the_mean_over_trials():
    trials = {"lstm": [trial(0.5, 1.0), trial(0.6, 5.0)]}
    (curve,) = tuning_curves(outcome({"lstm": [run(0.8)]}, trials=trials)).curves
    np.testing.assert_allclose(curve.seconds, [3, 6])


@pytest.mark.parametrize(
    ("scores", "task", "expected"),
    [
        ([0.75, None], LadderTask(), [0.5, 0.75]),
        ([0.75, 0.05], LadderTask(), [0.5, 0.75]),  # chance is 0.25
        ([None, None], LadderTask(), [0.25, 0.25]),
        ([0.2, None], LadderTask(ERROR_LADDER, higher_is_better=False), [0.3, 0.2]),
        ([0.2, 1e30], LadderTask(ERROR_LADDER, higher_is_better=False), [0.3, 0.2]),
    ],
)
def test_a_trial_counts_at_least_as_chance(scores, task, expected):
    (curve,) = tuned({"lstm": scores}, task).curves
    np.testing.assert_allclose(curve.expected, expected)
    assert curve.num_failed == scores.count(None)


def test_without_rules_a_failure_counts_as_the_worst_of_all():
    lstm, gru = tuned({"lstm": [0.75, None], "gru": [0.25, 0.5]}, LadderTask(())).curves
    np.testing.assert_allclose(lstm.expected, [0.5, 0.75])
    np.testing.assert_allclose(gru.expected, [0.375, 0.5])
    (nothing,) = tuned({"lstm": [None, None]}, LadderTask(())).curves
    assert np.isnan(nothing.expected).all()


def test_nothing_was_tuned():
    assert tuning_curves(outcome({"lstm": [run(0.8)]})) is None


def test_drawing_shows_the_data():
    data = tuned({"lstm": [0.5, 0.9, None], "gru": [0.6, 0.6, 0.7]})
    axes = tuning_curves_figure(data).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    for curve, label in zip(data.curves, ("LSTM", "GRU"), strict=True):
        np.testing.assert_array_equal(lines[label].get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(lines[label].get_ydata(), curve.expected)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "3"]
    assert axes.get_xlabel() == "number of tuning trials\na trial that failed counts as chance"
    data = tuned({"lstm": [0.5, 0.9]})
    assert tuning_curves_figure(data).axes[0].get_xlabel() == "number of tuning trials"


@pytest.mark.parametrize("count", [1, 2, 30, 500])
@pytest.mark.parametrize("ladder", [LADDER, (), (CHANCE,)])
def test_nothing_overlaps(count, ladder):
    scores = np.random.default_rng(0).random((3, count)).tolist()
    scores[2] = [None] * count
    data = tuned(dict(zip(("lstm", "gru", "own"), scores, strict=True)), LadderTask(ladder))
    assert_nothing_overlaps(tuning_curves_figure(data))


def test_any_names_fit():
    figure = tuning_curves_figure(tuned({name: [0.4, 0.8, None] for name in HOSTILE}))
    assert_nothing_overlaps(figure)
    ET.fromstring(to_svg(figure))
