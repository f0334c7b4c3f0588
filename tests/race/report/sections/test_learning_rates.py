"""Score against learning rate: a dot for each tuning run, the chosen ones ringed."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections import learning_rates as rates
from lstm_baseline.race.tuning import Choices, Range, Tuning
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED
from tests.support.figure_checks import assert_nothing_overlaps
from tests.support.figure_races import HOSTILE
from tests.support.races import ERROR_LADDER, LadderTask, race, run, trial

SPACE = {"learning_rate": Range(low=1e-3, high=1e-1)}


def tuned(scores, task=None, *, space=SPACE, names=("lstm", "gru")):
    """Return a race whose trials have such validation scores, the same for every contestant."""
    tuning = Tuning(trials=len(scores), space=space)
    trials = {name: [trial(score) for score in scores] for name in names}
    return race(
        {name: [run(0.8)] for name in names}, task or LadderTask(), tuning=tuning, trials=trials
    )


def data_of(outcome):
    return rates.learning_rates(outcome, outcome.tasks[0])


def test_a_dot_for_each_trial_that_finished():
    outcome = tuned([0.5, None, 0.9])
    drawn = [s.learning_rate for s in outcome.plan.tuning.settings(outcome.plan.settings)]
    data = data_of(outcome)
    for each in data.contestants:
        np.testing.assert_array_equal(each.rates, [drawn[0], drawn[2]])
        np.testing.assert_array_equal(each.scores, [0.5, 0.9])
        assert [found.spec.seed - FIRST_TRIAL_SEED for found in each.runs] == [0, 2]
        assert each.num_failed == 1
    assert data.y_label == "best\nvalidation accuracy\nhigher is better"


def test_nothing_without_a_range_of_learning_rates():
    assert data_of(tuned([0.5], space={"clip_norm": Choices(choices=(1.0,))})) is None
    assert data_of(tuned([0.5], space={"learning_rate": Choices(choices=(0.1, 0.2))})) is None
    assert data_of(race({"lstm": [run(0.8)]})) is None


def test_drawing_shows_the_dots_and_rings_the_chosen():
    outcome = tuned([0.5, 0.7, 0.9])
    data = data_of(outcome)
    (lstm, *_) = data.contestants
    lstm = lstm._replace(is_chosen=(False, True, False))
    axes = rates.learning_rates_figure(data._replace(contestants=(lstm,))).axes[0]
    dots, ring = axes.lines[:2]
    np.testing.assert_allclose(dots.get_xdata(), lstm.rates)
    np.testing.assert_array_equal(dots.get_ydata(), lstm.scores)
    np.testing.assert_allclose(ring.get_xdata(), lstm.rates[1:2])
    np.testing.assert_array_equal(ring.get_ydata(), [0.7])
    assert axes.get_xscale() == "log"


def test_contestants_stand_beside_one_another():
    for scale in ("log", "linear"):
        space = {"learning_rate": Range(low=1e-3, high=1e-1, scale=scale)}
        data = data_of(tuned([0.5], space=space, names=("lstm", "gru", "minigru")))
        places = np.concatenate(rates.places(data))
        assert (np.diff(places) > 0).all()
        np.testing.assert_allclose(places, data.contestants[0].rates[0], rtol=0.1)


def test_every_dot_leads_to_its_run():
    outcome = tuned([0.5, None, 0.9])
    picture = rates.picture(outcome, 1, outcome.tasks[0])
    wanted = {
        f"runs/{found.spec.name}/"
        for contestant in outcome.tasks[0].contestants
        for found in contestant.trials
        if found.score is not None
    }
    assert {link.target for link in picture.links} == wanted
    assert all(0 < link.left < 100 and 0 < link.top < 100 for link in picture.links)
    best, worst = (max, min)
    tops = {link.target: link.top for link in picture.links}
    scores = {
        f"runs/{found.spec.name}/": found.score
        for contestant in outcome.tasks[0].contestants
        for found in contestant.trials
        if found.score is not None
    }
    assert tops[best(scores, key=scores.get)] < tops[worst(scores, key=scores.get)]


@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize(("low", "high"), [(1e-3, 1e-1), (1e-5, 1.0), (0.01, 0.011)])
def test_nothing_overlaps(count, low, high):
    scores = [*np.random.default_rng(0).random(count).tolist(), None]
    for scale in ("log", "linear"):
        space = {"learning_rate": Range(low=low, high=high, scale=scale)}
        assert_nothing_overlaps(rates.learning_rates_figure(data_of(tuned(scores, space=space))))


def test_errors_and_any_names_fit():
    task = LadderTask(ERROR_LADDER, higher_is_better=False)
    figure = rates.learning_rates_figure(data_of(tuned([0.4, 1e-6, None], task, names=HOSTILE)))
    assert_nothing_overlaps(figure)
    ET.fromstring(to_svg(figure))
