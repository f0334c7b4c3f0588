"""Score against cost: who is better for less."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections import cost
from tests.support.figure_checks import assert_nothing_overlaps
from tests.support.figure_races import HOSTILE
from tests.support.races import ERROR_LADDER, LadderTask, race, run

NAMES = ("lstm", "gru", "minigru", "relational")


def raced(costs, scores, task=None, names=NAMES):
    """Return a race of two seeds a contestant, with seconds and state equal to its cost."""
    return race(
        {
            name: [run(score, seconds=each, state_size=each) for _ in range(2)]
            for name, each, score in zip(names, costs, scores, strict=True)
        },
        task or LadderTask(),
    )


def front(outcome, against):
    data = cost.score_against_cost(outcome.tasks[0], against)
    return [each.model for each in data.contestants if each.on_front]


@pytest.mark.parametrize("against", ["state", "seconds"])
def test_the_pareto_front(against):
    # The GRU is better than the LSTM for less, minGRU cheaper than both, the last one best of all.
    outcome = raced((20, 10, 5, 40), (0.7, 0.8, 0.6, 0.9))
    assert front(outcome, against) == ["gru", "minigru", "relational"]
    # As good for more is not on it; two that are equal in both are.
    assert front(raced((20, 10, 10, 10), (0.8, 0.8, 0.8, 0.7)), against) == ["gru", "minigru"]


def test_lower_may_be_better():
    task = LadderTask(ERROR_LADDER, higher_is_better=False)
    outcome = raced((20, 10, 5, 40), (0.3, 0.2, 0.35, 0.1), task)
    assert front(outcome, "seconds") == ["gru", "minigru", "relational"]


def test_what_failed_or_is_unknown_is_left_out():
    outcome = race(
        {
            "lstm": [run(0.8, state_size=None), run(None, state_size=None)],
            "gru": [run(0.7), run(0.7)],
        }
    )
    assert cost.score_against_cost(outcome.tasks[0], "state") is None
    data = cost.score_against_cost(outcome.tasks[0], "seconds")
    assert [len(each.runs) for each in data.contestants] == [1, 2]
    assert cost.score_against_cost(race({"lstm": [run(0.8)]}).tasks[0], "state") is None
    nobody = race({"lstm": [run(None)], "gru": [run(0.7)]})
    assert cost.score_against_cost(nobody.tasks[0], "seconds") is None


def test_drawing_shows_the_runs_and_every_dot_leads_to_one(tmp_path):
    outcome = raced((20, 10, 5, 40), (0.7, 0.8, 0.6, 0.9))
    data = cost.score_against_cost(outcome.tasks[0], "seconds")
    axes = cost.score_against_cost_figure(data).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [20, 20])
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.7, 0.7])
    (first, second) = cost.pictures(outcome, tmp_path)
    finals = {f"runs/{s.spec.name}/" for c in outcome.tasks[0].contestants for s in c.seeds}
    for picture in (first, second):
        assert {link.target for link in picture.links} == finals
    assert "On the Pareto front: GRU, minigru and relational RNN." in first.alt


@pytest.mark.parametrize(
    "costs", [(1, 1, 1, 1), (1, 2, 3, 4), (0.01, 3, 700, 1e5), (100, 101, 102, 103)]
)
def test_nothing_overlaps(costs):
    for against in ("state", "seconds"):
        outcome = raced([max(1, round(each)) for each in costs], (0.7, 0.8, 0.6, 0.9))
        data = cost.score_against_cost(outcome.tasks[0], against)
        assert_nothing_overlaps(cost.score_against_cost_figure(data))


def test_any_names_fit():
    outcome = raced(range(1, 7), [0.5, 0.6, 0.7, 0.8, 0.9, 0.2], names=HOSTILE)
    figure = cost.score_against_cost_figure(cost.score_against_cost(outcome.tasks[0], "state"))
    assert_nothing_overlaps(figure)
    ET.fromstring(to_svg(figure))
