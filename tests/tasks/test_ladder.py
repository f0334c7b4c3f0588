"""Where a score stands on a ladder, on numbers alone."""

import pytest

from lstm_baseline.tasks.ladder import RunScores, has_learned, normalise, unbeaten
from lstm_baseline.tasks.metrics import ACCURACY, MEAN_SQUARED_ERROR
from tests.support.races import CHANCE, ERROR_LADDER, HEURISTIC, LADDER


@pytest.mark.parametrize(
    ("score", "ladder", "metric", "expected"),
    [
        (0.75, LADDER, ACCURACY, 0.5),
        (0.25, LADDER, ACCURACY, -0.5),
        (0.1, ERROR_LADDER, MEAN_SQUARED_ERROR, 0.75),
        (0.75, (CHANCE,), ACCURACY, 2 / 3),  # a perfect score takes the oracle's place
        (0.75, (CHANCE, HEURISTIC._replace(score=1.0)), ACCURACY, None),
        (None, LADDER, ACCURACY, None),
        (0.75, (), ACCURACY, None),
    ],
)
def test_normalised(score, ladder, metric, expected):
    assert normalise(score, ladder, metric) == (
        None if expected is None else pytest.approx(expected)
    )


@pytest.mark.parametrize(
    ("score", "error", "untrained", "rules"),
    [
        (0.6, 0.04, 0.2, []),
        (0.6, 0.05, 0.2, ["last one"]),  # two standard errors reach the heuristic
        (0.6, 0.04, 0.55, ["untrained"]),
        (0.55, 0.04, 0.55, ["last one", "untrained"]),
        (0.6, 0.04, None, []),
        (0.6, None, 0.2, ["failed"]),
        (None, 0.04, 0.2, ["failed"]),
    ],
)
def test_learned_is_better_than_rules_and_start_by_two_standard_errors(
    score, error, untrained, rules
):
    found = RunScores(score, error, untrained)
    assert unbeaten(found, LADDER, ACCURACY) == rules
    assert has_learned(found, LADDER, ACCURACY) is (not rules)


def test_learned_where_lower_is_better():
    assert has_learned(RunScores(0.1, 0.1, 0.9), ERROR_LADDER, MEAN_SQUARED_ERROR)
    assert not has_learned(RunScores(0.3, 0.1, 0.9), ERROR_LADDER, MEAN_SQUARED_ERROR)


@pytest.mark.parametrize(
    ("score", "untrained", "drop", "learned"),
    [
        (1.0, 1.0, 0.5, True),  # the metric cannot rise, and the loss fell
        (1.0, 0.97, 0.5, True),  # 1 is not clearly more than 0.97 either
        (1.0, 0.97, 0.03, False),  # the drop is within two standard errors
        (1.0, 0.97, -0.5, False),
        (1.0, 0.97, None, False),  # a run of an earlier version
        (0.93, 0.92, 0.5, False),  # there is room above 0.92, and the score did not use it
        (0.4, 1.0, 0.5, False),  # the loss fell, but a heuristic is better
    ],
)
def test_the_loss_decides_where_the_metric_cannot_rise(score, untrained, drop, learned):
    error = None if drop is None else 0.02
    found = RunScores(score, 0.02, untrained, drop, error)
    assert has_learned(found, LADDER, ACCURACY) is learned


@pytest.mark.parametrize(("drop", "learned"), [(0.5, True), (0.01, False)])
def test_the_loss_decides_at_an_error_of_nothing_too(drop, learned):
    found = RunScores(1e-9, 1e-9, 1e-9, drop, 0.02)
    assert has_learned(found, ERROR_LADDER, MEAN_SQUARED_ERROR) is learned
