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


@pytest.mark.parametrize(
    ("metrics", "num_steps", "expected"),
    [
        # Ten validations of a thousand steps; the last fifth begins after the eighth.
        ([0.2] + [0.5] * 8 + [0.6, 0.6], 1000, True),
        ([0.2] + [0.5] * 7 + [0.6, 0.6, 0.6], 1000, False),
        ([0.2] + [0.5] * 8 + [0.509, 0.509], 1000, False),  # 0.018 in normalised score
        ([0.2] + [0.5] * 8 + [0.511, 0.4], 1000, True),
        ([0.2] + [0.5] * 8 + [0.6, 0.6], 2000, False),  # patience stopped it
        ([], 1000, False),
    ],
)
def test_a_run_still_improved_if_its_last_fifth_brought_more_than_the_margin(
    metrics, num_steps, expected
):
    found = scores.still_improved(history(*metrics), num_steps, LADDER, ACCURACY, 0.02)
    assert found is expected


def test_still_improving_where_lower_is_better_and_without_a_margin():
    falling = history(*[0.4] * 9, 0.3, 0.3)
    assert scores.still_improved(falling, 1000, ERROR_LADDER, MEAN_SQUARED_ERROR, 0.02)
    hardly = history(*[0.3] * 9, 0.2999, 0.2999)
    assert not scores.still_improved(hardly, 1000, ERROR_LADDER, MEAN_SQUARED_ERROR, 0.0)
    perfect = (HEURISTIC._replace(score=1.0), ORACLE)
    assert not scores.still_improved(history(0, 1), 100, perfect, ACCURACY, 0.02)


@pytest.mark.parametrize(
    ("score", "other", "expected"),
    [
        (1.0, 0.1, True),
        (1.0, 0.69, True),  # the oracle falls to 0.4: half way is 0.7
        (1.0, 0.71, False),
        (0.6, 0.6, False),
        (0.2, 0.2, None),  # no better than chance
        (0.39, 0.3, None),  # less than the oracle has with another question
        (0.6, None, None),
        (None, None, None),
    ],
)
def test_who_uses_the_question_falls_with_another_one(score, other, expected):
    assert scores.uses_question(score, other, 0.4, LADDER, ACCURACY) is expected
    assert scores.uses_question(score, other, None, LADDER, ACCURACY) is None


def test_errors_rise_with_another_question():
    assert scores.uses_question(0.1, 0.5, 0.7, ERROR_LADDER, MEAN_SQUARED_ERROR) is True
    assert scores.uses_question(0.1, 0.2, 0.7, ERROR_LADDER, MEAN_SQUARED_ERROR) is False
