"""The metrics against plain Python."""

import math

import numpy as np
import pytest

from lstm_baseline.tasks import (
    ACCURACY,
    BITS_PER_CHARACTER,
    CROSS_ENTROPY,
    MEAN_SQUARED_ERROR,
    NEGATIVE_LOG_LIKELIHOOD,
    Batch,
)
from lstm_baseline.tasks.metrics import LOSS_METRICS
from lstm_baseline.training.losses import LOSSES

INF = math.inf


def batch(y, lengths=None, y_scale=None, steps=3):
    y = np.asarray(y)
    return Batch(np.zeros((len(y), steps, 2), np.float32), y, lengths, y_scale)


def test_accuracy_shares_ties():
    logits = np.array([[1.0, 0, 0], [1, 1, 0], [2, 2, 2], [0, 0, 5]])
    assert ACCURACY.measure(logits, batch([0, 1, 2, 0])) == pytest.approx((1 + 0.5 + 1 / 3) / 4)


def test_accuracy_counts_valid_steps_only():
    logits = np.zeros((2, 3, 2))
    logits[..., 1] = 1
    y = np.array([[1, 0, 0], [1, 1, 0]])
    assert ACCURACY.measure(logits, batch(y)) == pytest.approx(3 / 6)
    assert ACCURACY.measure(logits, batch(y, np.array([1, 2]))) == 1


def test_cross_entropy_and_bits():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.125, 0.375, 0.5]]))
    expected = (math.log(2) + math.log(8)) / 2
    assert CROSS_ENTROPY.measure(logits, batch([0, 0])) == pytest.approx(expected)
    assert BITS_PER_CHARACTER.measure(logits, batch([0, 0])) == pytest.approx((1 + 3) / 2)


def test_a_class_ruled_out_costs_infinitely_much():
    logits = np.array([[0.0, -INF]])
    assert CROSS_ENTROPY.measure(logits, batch([0])) == 0
    assert CROSS_ENTROPY.measure(logits, batch([1])) == INF


def test_negative_log_likelihood_sums_labels_and_counts_valid_steps_only():
    odds = np.log(np.array([[3.0, 1.0], [1 / 3, 7.0]]))  # probabilities 3/4, 1/2; 1/4, 7/8
    y = np.array([[1, 0], [1, 1]])
    costs = [math.log(4 / 3) + math.log(2), math.log(4) + math.log(8 / 7)]
    found = NEGATIVE_LOG_LIKELIHOOD.measure(odds, batch(y))
    assert found == pytest.approx(sum(costs) / 2, rel=1e-14)
    steps = np.stack([odds, odds[::-1], np.full((2, 2), np.nan)], axis=1)
    labels = np.stack([y, y[::-1], y], axis=1)
    found = NEGATIVE_LOG_LIKELIHOOD.measure(steps, batch(labels, np.array([2, 1])))
    assert found == pytest.approx((sum(costs) + costs[1]) / 3, rel=1e-14)


def test_who_is_sure_of_a_label_pays_nothing_or_infinitely_much():
    sure = np.array([[INF, -INF]], np.float32)
    assert NEGATIVE_LOG_LIKELIHOOD.measure(sure, batch([[1, 0]])) == 0
    assert NEGATIVE_LOG_LIKELIHOOD.measure(sure, batch([[0, 0]])) == INF


def test_the_metric_of_each_loss_is_the_loss():
    rng = np.random.default_rng(0)
    outputs, lengths = rng.normal(size=(4, 3, 5)), np.array([3, 1, 2, 3])
    targets = {
        "cross_entropy": rng.integers(5, size=(4, 3)),
        "mean_squared_error": rng.normal(size=(4, 3, 5)),
        "binary_cross_entropy": rng.integers(2, size=(4, 3, 5)),
    }
    assert set(targets) == set(LOSS_METRICS)
    for name, y in targets.items():
        expected, _ = LOSSES[name](outputs, y, lengths)
        metric = LOSS_METRICS[name]
        assert metric.measure(outputs, batch(y, lengths)) == pytest.approx(expected, rel=1e-14)
        assert (metric.higher_is_better, metric.perfect) == (False, 0)


def test_squared_error_in_the_data_s_own_units():
    y = np.array([[0.0, 0.0], [1.0, 1.0]])
    values = y + np.array([[1, 2], [3, 4]])
    assert MEAN_SQUARED_ERROR.measure(values, batch(y)) == pytest.approx((1 + 4 + 9 + 16) / 4)
    scaled = batch(y, y_scale=np.array([10, 1]))
    assert MEAN_SQUARED_ERROR.measure(values, scaled) == pytest.approx((100 + 4 + 900 + 16) / 4)


def test_squared_error_counts_valid_steps_only():
    y = np.zeros((2, 3, 1))
    values = np.array([[1.0, 9, 9], [2, 2, 9]])[..., None]
    assert MEAN_SQUARED_ERROR.measure(values, batch(y, np.array([1, 2]))) == pytest.approx(9 / 3)


@pytest.mark.parametrize("metric", [ACCURACY, CROSS_ENTROPY, MEAN_SQUARED_ERROR])
def test_measuring_changes_nothing(metric):
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(5, 4)).astype(np.float32)
    y = rng.normal(size=(5, 4)) if metric is MEAN_SQUARED_ERROR else rng.integers(4, size=5)
    before = outputs.copy(), y.copy()
    metric.measure(outputs, batch(y, y_scale=np.full(4, 3.0)))
    assert np.array_equal(outputs, before[0])
    assert np.array_equal(y, before[1])


def test_standard_error_is_that_of_the_mean_over_rows():
    rng = np.random.default_rng(0)
    values, y = rng.standard_normal((2, 50, 3))
    terms = np.square(values - y).mean(axis=1)
    found = MEAN_SQUARED_ERROR.standard_error(values, batch(y))
    assert found == pytest.approx(terms.std(ddof=1) / math.sqrt(50))


def test_steps_of_a_row_are_not_counted_as_independent():
    # Every row is right or wrong at all of its steps, so more steps say nothing more.
    right = np.array([0, 1, 1, 0, 1])
    logits = np.zeros((5, 4, 2))
    logits[..., 1] = 1
    long = ACCURACY.standard_error(logits, batch(np.repeat(right[:, None], 4, axis=1), steps=4))
    short = ACCURACY.standard_error(logits[:, 0], batch(right))
    assert long == pytest.approx(short)


def test_standard_error_ignores_padding_and_knows_unequal_rows():
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 6, 2000)
    hits = rng.random((2000, 5)) < 0.5
    y = hits.astype(int)
    logits = np.zeros((2000, 5, 2))
    logits[..., 1] = 1
    found = ACCURACY.standard_error(logits, batch(y, lengths, steps=5))
    y[np.arange(5) >= lengths[:, None]] = 1
    assert found == ACCURACY.standard_error(logits, batch(y, lengths, steps=5))
    assert found == pytest.approx(0.5 / math.sqrt(lengths.sum()), rel=0.05)


def test_a_few_rows_leave_doubt_even_if_all_are_right():
    logits = np.array([[0.0, 1.0]] * 2)
    assert 0.2 < ACCURACY.standard_error(logits, batch([1, 1])) < 0.3
    assert 0.2 < ACCURACY.standard_error(logits, batch([0, 0])) < 0.3
    many = np.repeat(logits, 1000, axis=0)
    assert ACCURACY.standard_error(many, batch(np.ones(2000, int))) < 0.001
    assert MEAN_SQUARED_ERROR.standard_error(np.ones((1, 1)), batch([[0.0]])) == math.inf
