"""Statistics against SciPy and statsmodels, and against counting by hand."""

import itertools

import numpy as np
import pytest

from lstm_baseline import InputError
from lstm_baseline.race.race_statistics import (
    Bootstrap,
    Interval,
    expected_best,
    holm,
    interquartile_mean,
    mean_interval,
    overall_difference,
    overall_interval,
    overall_probability,
    permutation_p_values,
    probability_better,
    runs_needed,
    share_reached,
    smallest_p_value,
)

stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")


def rng(seed=0):
    return np.random.default_rng(seed)


def skewed(runs, tasks, seed=1):
    return rng(seed).exponential(size=(runs, tasks)) - 0.7


def eighths(runs, tasks, seed=2):
    """Differences with many ties."""
    return rng(seed).integers(-3, 5, size=(runs, tasks)) / 8


def tenths(runs, tasks, seed=2):
    """The same, but with sums that are rounded."""
    return eighths(runs, tasks, seed) * 8 * 0.1


def test_smallest_p_value_and_the_runs_it_takes():
    assert [smallest_p_value(n) for n in (1, 2, 5, 6)] == [1.0, 0.5, 0.0625, 0.03125]
    assert smallest_p_value(5000) == 0.0
    assert [runs_needed(0.05, m) for m in (1, 2, 7)] == [6, 7, 9]
    assert runs_needed(0.0625, 1) == 5


@pytest.mark.parametrize("runs", [5, 8, 10])
def test_smallest_p_value_is_that_of_differences_of_one_sign(runs):
    assert permutation_p_values(np.full((runs, 1), 0.3), rng()) == [smallest_p_value(runs)]


@pytest.mark.parametrize("make", [skewed, tenths])
def test_p_values_of_all_patterns_are_scipys(make):
    differences = make(9, 6)
    expected = [
        stats.permutation_test(
            (column,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        for column in differences.T
    ]
    np.testing.assert_allclose(permutation_p_values(differences, rng()), expected, rtol=1e-12)


@pytest.mark.parametrize("make", [skewed, tenths])
def test_p_values_of_drawn_patterns_are_near_those_of_all(make):
    differences = make(15, 2)
    exact = [
        stats.permutation_test(
            (column,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        for column in differences.T
    ]
    np.testing.assert_allclose(permutation_p_values(differences, rng()), exact, atol=0.02)


def test_p_value_of_drawn_patterns_is_never_zero():
    assert permutation_p_values(np.ones((60, 1)), rng(), num_resamples=99) == [1 / 100]


def test_no_difference_at_all_has_p_value_one():
    differences = np.array([[0.0, 0.1], [0.0, 0.2], [0.0, -0.3]])
    assert differences[:, 1].sum() != 0  # but for rounding it is
    assert permutation_p_values(differences, rng()).tolist() == [1.0, 1.0]


def test_holm_by_hand():
    assert holm(np.array([0.04, 0.01, 0.03])) == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]
    assert holm(np.empty(0)).tolist() == []


def test_holm_is_that_of_statsmodels():
    multitest = pytest.importorskip(
        "statsmodels.stats.multitest", reason="statsmodels is not installed"
    )
    for size in (1, 2, 7, 40):
        p_values = np.round(rng(size).random(size) ** 2, 2)
        expected = multitest.multipletests(p_values, method="holm")[1]
        np.testing.assert_allclose(holm(p_values), expected, rtol=1e-12)


@pytest.mark.parametrize(("make", "step"), [(skewed, 0.0), (eighths, 1 / 8 / 12)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_mean_interval_is_scipys(make, step, confidence):
    """But for the luck of the draw, which may move an end by one step of a mean of eighths."""
    differences = make(12, 3)
    found = mean_interval(differences, Bootstrap(confidence, rng(), 50_000))
    for column, interval in zip(differences.T, found, strict=True):
        theirs = stats.bootstrap(
            (column,),
            np.mean,
            confidence_level=confidence,
            method="BCa",
            n_resamples=50_000,
            rng=rng(5),
        ).confidence_interval
        tolerance = max(0.02 * (theirs.high - theirs.low), 1.001 * step)
        assert interval.estimate == pytest.approx(column.mean(), rel=1e-12)
        assert interval[1:] == pytest.approx(theirs, abs=tolerance)


def test_mean_interval_does_not_depend_on_how_ties_are_rounded():
    """Sums of eighths are exact, those of tenths are not; SciPy's interval moves by a step."""
    exact = mean_interval(eighths(12, 20), Bootstrap(0.95, rng()))
    rounded = mean_interval(tenths(12, 20), Bootstrap(0.95, rng()))
    np.testing.assert_allclose(np.array(rounded), 0.8 * np.array(exact), atol=1e-12)


def test_bca_is_told_from_the_percentile_interval():
    """Of skewed differences the ends lie further on the side of the tail."""
    column = np.array([[0.0]] * 9 + [[1.0]] * 2 + [[4.0]])
    (found,) = mean_interval(column, Bootstrap(0.95, rng()))
    theirs = stats.bootstrap((column[:, 0],), np.mean, method="percentile", rng=rng(5))
    assert found.high > theirs.confidence_interval.high + 0.2


def test_mean_interval_of_equal_differences_has_no_width():
    for value in (0.0, 0.1, -0.3):
        (interval,) = mean_interval(np.full((7, 1), value), Bootstrap(0.95, rng()))
        assert interval == pytest.approx((value, value, value), abs=1e-15)
        assert interval.low == interval.high


def test_coverage_of_the_mean_interval():
    """Of ten normal runs, a 95% interval holds the true mean in about 90 of 100 cases."""
    differences = rng(7).normal(size=(10, 4000))
    intervals = np.array(mean_interval(differences, Bootstrap(0.95, rng(), 1000)))
    coverage = ((intervals[:, 1] <= 0) & (intervals[:, 2] >= 0)).mean()
    assert coverage == pytest.approx(0.90, abs=0.015)


def test_probability_better_counts_ties_half():
    differences = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0], [-5.0, 0.0]])
    found = probability_better(differences, Bootstrap(0.95, rng()))
    assert [interval.estimate for interval in found] == [0.625, 0.5]
    assert found[1] == Interval(0.5, 0.5, 0.5)


def test_interval_of_probability_better_is_that_of_a_binomial():
    """Resampling n pairs of which k are won draws the number won from Binomial(n, k / n)."""
    differences = np.array([1.0] * 15 + [-1.0] * 5)[:, None]
    (found,) = probability_better(differences, Bootstrap(0.95, rng()))
    low, high = stats.binom.ppf([0.025, 0.975], 20, 0.75) / 20
    assert found == pytest.approx((0.75, low, high))


@pytest.mark.parametrize("function", [mean_interval, probability_better])
def test_interval_does_not_depend_on_tasks_beside_it(function):
    differences = skewed(20, 5)
    together = function(differences, Bootstrap(0.95, rng()))
    assert function(differences, Bootstrap(0.95, rng())) == together
    assert function(differences[:, 3:4], Bootstrap(0.95, rng())) == together[3:4]


def test_other_seed_other_interval():
    differences = skewed(20, 1)
    assert mean_interval(differences, Bootstrap(0.95, rng(1))) != mean_interval(
        differences, Bootstrap(0.95, rng())
    )


def test_p_value_does_not_depend_on_tasks_beside_it():
    differences = skewed(20, 5)
    together = permutation_p_values(differences, rng())
    assert permutation_p_values(differences[:, 3:4], rng()) == together[3]


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (4, 1), (7, 3), (10, 4)])
def test_interquartile_mean_is_scipys_trimmed_mean(shape):
    scores = rng().normal(size=(2, *shape))
    expected = [stats.trim_mean(part, 0.25, axis=None) for part in scores]
    np.testing.assert_allclose(interquartile_mean(scores), expected, rtol=1e-12)


def trimmed(*tasks, axis):
    return stats.trim_mean(np.concatenate(tasks, axis=axis), 0.25, axis=axis)


def test_overall_interval_is_scipys_of_independent_samples():
    scores = rng(3).normal(size=(10, 4)) + np.arange(4)
    theirs = stats.bootstrap(tuple(scores.T), trimmed, method="percentile", rng=rng(5))
    low, high = theirs.confidence_interval
    found = overall_interval(scores, Bootstrap(0.95, rng()))
    assert found.estimate == pytest.approx(trimmed(*scores.T, axis=0), rel=1e-12)
    assert found[1:] == pytest.approx((low, high), abs=0.03 * (high - low))


def test_overall_interval_draws_within_each_task():
    """Tasks that are far apart and without noise leave nothing to chance."""
    scores = np.tile(np.arange(6.0) ** 2, (5, 1))
    estimate, low, high = overall_interval(scores, Bootstrap(0.95, rng()))
    assert estimate == low == high == pytest.approx(interquartile_mean(scores))


@pytest.mark.parametrize("shape", [(10, 5), (7, 3), (20, 1)])
def test_overall_interval_is_rliables(shape):
    try:
        from rliable import library, metrics
    except Exception as error:  # it needs older versions of arch and pandas than there are
        pytest.skip(f"rliable cannot be imported: {error}")
    scores = skewed(*shape)
    estimates, intervals = library.get_interval_estimates(
        {"ours": scores}, lambda of: np.array([metrics.aggregate_iqm(of)]), reps=20_000
    )
    low, high = intervals["ours"][:, 0]
    found = overall_interval(scores, Bootstrap(0.95, rng(), 20_000))
    assert found.estimate == pytest.approx(estimates["ours"][0], abs=1e-12)
    assert found[1:] == pytest.approx((low, high), abs=0.03 * (high - low))


def test_overall_difference_draws_pairs():
    """A constant lead is certain, however much the seeds differ."""
    baseline = rng().normal(size=(10, 3))
    found = overall_difference(baseline + 0.25, baseline, Bootstrap(0.95, rng()))
    assert found == pytest.approx((0.25, 0.25, 0.25))
    assert overall_difference(baseline, baseline, Bootstrap(0.95, rng())) == (0.0, 0.0, 0.0)


def difference(one, other, axis):
    return trimmed(one, axis=axis) - trimmed(other, axis=axis)


def test_overall_difference_is_scipys_on_one_task():
    challenger, baseline = skewed(14, 1), skewed(14, 1, seed=8)
    theirs = stats.bootstrap(
        (challenger[:, 0], baseline[:, 0]),
        difference,
        paired=True,
        method="percentile",
        rng=rng(5),
    ).confidence_interval
    found = overall_difference(challenger, baseline, Bootstrap(0.95, rng()))
    assert found.estimate == pytest.approx(difference(challenger, baseline, 0)[0])
    assert found[1:] == pytest.approx(theirs, abs=0.03 * (theirs.high - theirs.low))


def test_overall_probability_is_the_mean_over_tasks():
    challenger = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    baseline = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    found = overall_probability(challenger, baseline, Bootstrap(0.95, rng()))
    by_task = probability_better(challenger - baseline, Bootstrap(0.95, rng()))
    assert found.estimate == np.mean([interval.estimate for interval in by_task]) == 0.6875
    # The first task is certain, so only the second one's uncertainty is left, at half its size.
    assert found[1:] == pytest.approx([(1 + end) / 2 for end in by_task[1][1:]])


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_expected_best_is_the_mean_over_all_choices_of_trials(size):
    scores = np.round(rng(size).normal(size=size), 1)
    expected = [
        np.mean([max(chosen) for chosen in itertools.combinations(scores, k)])
        for k in range(1, size + 1)
    ]
    np.testing.assert_allclose(expected_best(scores), expected, rtol=1e-12)


def test_expected_best_is_unbiased_where_drawing_with_replacement_is_not():
    """Of three uniform trials the best is 3/4 on average; Dodge et al. 2019 put it lower."""
    samples = np.sort(rng().random((20_000, 5)), axis=1)
    unbiased = np.mean([expected_best(sample)[2] for sample in samples])
    weights = np.diff((np.arange(6) / 5) ** 3)
    assert unbiased == pytest.approx(0.75, abs=0.005)
    assert (samples * weights).sum(axis=1).mean() < 0.71


def test_share_reached_is_the_kaplan_meier_estimate():
    times = np.array([300.0, 100.0, np.inf, 300.0, np.inf, 200.0, 900.0])
    found = share_reached(times)
    budget = 1000.0
    theirs = stats.ecdf(
        stats.CensoredData.right_censored(np.minimum(times, budget), np.isinf(times))
    ).cdf
    seen = theirs.quantiles < budget
    np.testing.assert_array_equal(found.times, theirs.quantiles[seen])
    np.testing.assert_allclose(found.share, theirs.probabilities[seen], rtol=1e-12)
    assert found.median == 300.0


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([5.0, np.inf], 5.0),
        ([5.0, np.inf, np.inf], np.inf),
        ([np.inf], np.inf),
        ([3.0, 1.0, 2.0], 2.0),
    ],
)
def test_median_counts_runs_that_never_reached(times, median):
    assert share_reached(np.array(times)).median == median


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: smallest_p_value(0), "num_runs is 0; give"),
        (lambda: runs_needed(0.0, 1), "level is 0.0; give a number between 0 and 1"),
        (lambda: runs_needed(0.05, 0), "num_comparisons is 0; give"),
        (lambda: permutation_p_values(np.zeros(3), rng()), r"shape \(3,\); give \(runs, tasks\)"),
        (lambda: permutation_p_values(np.full((3, 1), np.nan), rng()), "not finite; leave out"),
        (lambda: mean_interval(np.zeros((1, 2)), Bootstrap(0.95, rng())), "at least 2 runs"),
        (
            lambda: mean_interval(np.zeros((3, 2)), Bootstrap(95, rng())),
            "confidence is 95; give a number",
        ),
        (lambda: overall_interval(np.zeros((3, 0)), Bootstrap(0.95, rng())), "2 runs and one task"),
        (
            lambda: overall_difference(np.zeros((3, 2)), np.zeros((3, 1)), Bootstrap(0.95, rng())),
            "the same pairs",
        ),
        (lambda: holm(np.array([0.5, 1.5])), "numbers from 0 to 1"),
        (lambda: holm(np.array([np.nan])), "numbers from 0 to 1"),
        (lambda: expected_best(np.empty(0)), r"shape \(0,\); give a finite one a trial"),
        (lambda: share_reached(np.array([1.0, np.nan])), "from 0 to infinity"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
