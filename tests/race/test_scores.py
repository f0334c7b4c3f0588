"""The scoring rules, on ladders and numbers alone."""

import math

import pytest

from lstm_baseline.race import scores
from lstm_baseline.tasks.ladder import best_heuristic, best_oracle
from lstm_baseline.tasks.metrics import ACCURACY, MEAN_SQUARED_ERROR
from lstm_baseline.training import Record
from tests.support.races import CHANCE, ERROR_LADDER, HEURISTIC, LADDER, ORACLE


def history(*metrics):
    return [Record(100 * k, 1.5 * k, 0.7, 1.0, 0.01, metric) for k, metric in enumerate(metrics)]


@pytest.mark.parametrize(
    ("ladder", "metric", "heuristic", "oracle", "threshold"),
    [
        (LADDER, ACCURACY, 0.5, 1.0, 0.75),
        (LADDER[:2], ACCURACY, 0.5, None, 0.5),
        (ERROR_LADDER, MEAN_SQUARED_ERROR, 0.4, 0.0, 0.2),
        ((ORACLE,), ACCURACY, None, 1.0, None),
        ((), ACCURACY, None, None, None),
    ],
)
def test_a_ladder_has_a_best_heuristic_an_oracle_and_a_threshold(
    ladder, metric, heuristic, oracle, threshold
):
    def score(rung):
        return None if rung is None else rung.score

    assert score(best_heuristic(ladder, metric)) == heuristic
    assert score(best_oracle(ladder, metric)) == oracle
    assert scores.threshold(ladder, metric) == threshold


@pytest.mark.parametrize(
    ("normalised", "expected"), [(0.3, 0.3), (-0.2, -0.2), (-3.0, -0.5), (None, -0.5)]
)
def test_a_value_is_never_below_chance(normalised, expected):
    assert scores.value(normalised, LADDER, ACCURACY) == expected
    assert scores.value(normalised, (), ACCURACY) is None


def test_first_reached():
    given = history(0.9, 0.5, 0.75, 0.6, 0.9)  # what comes before training does not count
    assert scores.first_reached(given, 0.75, ACCURACY) == (200.0, 3.0)
    assert scores.first_reached(given, 0.95, ACCURACY) == (math.inf, math.inf)
    assert scores.first_reached([], 0.5, ACCURACY) == (math.inf, math.inf)
    assert scores.first_reached(given, None, ACCURACY) == (None, None)
    assert scores.first_reached(history(0.1, 0.3, 0.2), 0.2, MEAN_SQUARED_ERROR) == (200.0, 3.0)


def test_mean_ladder_and_spread():
    other = (CHANCE._replace(score=0.75), HEURISTIC, ORACLE)
    found = scores.mean_ladder([LADDER, other], ACCURACY)
    assert [(rung.name, rung.score) for rung in found] == [
        ("chance", 0.5),
        ("last one", 0.5),
        ("oracle", 1.0),
    ]
    assert scores.spread([0.5, None, 0.9]) == pytest.approx((0.7, math.sqrt(0.08), 2))
    assert scores.spread([0.5]) == (0.5, None, 1)
    assert scores.spread([None]) is None
