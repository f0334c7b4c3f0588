"""The statistics that a race is judged by: tests, intervals, and curves over trials and time.

Pure functions of NumPy arrays. Scores and differences are (runs, tasks). Run r of the challenger
and run r of the baseline share a seed and with it their data: they are a *pair*. A difference is
challenger − baseline, and higher is better. A function that draws random numbers takes a generator.
The result for one task does not depend on the other tasks, to the last bit.
"""

from collections.abc import Iterator
from itertools import count
from math import ldexp
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_real, as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray

NUM_RESAMPLES = 10_000
"""Resamples of a bootstrap, and patterns drawn by a permutation test that cannot try them all."""

MOST_PAIRS_TRIED_ALL = 14
"""Largest number of paired runs for which a permutation test tries every pattern of signs."""

_NORMAL = NormalDist()

# Rounding makes sums that are equal on paper differ by less than this, relative to the numbers
# summed.
_ROUNDING = 1e-12


class Bootstrap(NamedTuple):
    """Settings of a bootstrap, which draws runs with replacement."""

    confidence: float
    """Share of cases in which an interval should hold the true value, 0.5 to 0.999."""
    rng: np.random.Generator
    num_resamples: int = NUM_RESAMPLES

    @property
    def tails(self) -> tuple[float, float]:
        """Quantiles of the resamples that are the ends of a percentile interval.

        Raises
        ------
        InputError
            If confidence is out of range. Above the range, the tails hold too few resamples to
            tell where they begin.
        """
        if not 0.5 <= self.confidence <= 0.999:
            raise InputError(f"confidence is {self.confidence!r}; give a number from 0.5 to 0.999")
        return (1 - self.confidence) / 2, (1 + self.confidence) / 2


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float


class Reached(NamedTuple):
    """Share of runs that have reached a threshold, as a function of time."""

    times: FloatArray
    """Times at which runs reached it, each once, ascending, (K,)."""
    share: FloatArray
    """Share of all runs that had reached it by each time, (K,)."""
    median: float
    """First time by which half of all runs had reached it; infinite if fewer than half did."""


def smallest_p_value(num_runs: int) -> float:
    """Return the least p-value that a paired sign-flip test of n = num_runs can give, 2 / 2ⁿ.

    The test is two-sided: the observed signs and the same signs all reversed are equally extreme.
    """
    return ldexp(2.0, -as_size("num_runs", num_runs))


def runs_needed(level: float, num_comparisons: int) -> int:
    """Return the smallest number of paired runs with which a race can reach a verdict.

    Holm's strictest step asks for p ≤ level / num_comparisons. With fewer runs no difference,
    however large and regular, is significant at that step.
    """
    as_size("num_comparisons", num_comparisons)
    if not 0 < level < 1:
        raise InputError(f"level is {level!r}; give a number between 0 and 1")
    return next(runs for runs in count(1) if smallest_p_value(runs) <= level / num_comparisons)


def permutation_p_values(
    differences: FloatArray, rng: np.random.Generator, *, num_resamples: int = NUM_RESAMPLES
) -> FloatArray:
    """Test for each task whether the mean paired difference is 0.

    If contestants are alike, each difference is as likely to have the other sign. The p-value is
    the share of sign patterns whose mean is at least as far from 0 as the one observed. All 2ⁿ
    patterns are tried for up to 14 runs. With more runs patterns are drawn, and the observed one
    counts as one of them: so p is never 0, and the test keeps its level.

    Parameters
    ----------
    differences
        (runs, tasks).
    rng
        Draws the patterns; not used for up to 14 runs.
    num_resamples
        Number of patterns drawn.

    Returns
    -------
    p-values, (tasks,); 1 where all differences are 0.

    Raises
    ------
    InputError
        If there is no run, or a number is not finite.

    Notes
    -----
    Sources: Fisher 1935, "The Design of Experiments", section 21; for counting the observed pattern
    among those drawn, Phipson and Smyth 2010.
    """
    differences = _as_runs("differences", differences)
    swaps = _swaps(len(differences), num_resamples, rng)
    signs = np.where(swaps, -1.0, 1.0)
    return np.array(
        [
            _p_value(abs(column.sum()), np.abs(_products(signs, column)), np.abs(column).sum())
            for column in differences.T
        ]
    )


def holm(p_values: FloatArray) -> FloatArray:
    """Adjust the p-values of a family so that its chance of any false finding is at most the level.

    The i-th smallest of m is multiplied by m − i + 1. Then each is raised to at least the adjusted
    value of every smaller one, and cut at 1.

    Source: Holm 1979.

    Parameters
    ----------
    p_values
        (m,), in any order; the adjusted ones come in the same order.

    Raises
    ------
    InputError
        If a number is not between 0 and 1.
    """
    p_values = as_real("p_values", p_values, np.dtype(np.float64))
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise InputError("p_values must be one row of numbers from 0 to 1; give the raw p-values")
    order = np.argsort(p_values)
    stepped = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted


def mean_interval(
    differences: FloatArray,
    bootstrap: Bootstrap,
) -> list[Interval]:
    """Return each task's mean difference with its BCa bootstrap interval.

    The ends are quantiles of the resampled means, but not those at (1 ∓ c)/2. With z the normal
    quantile of (1 ∓ c)/2, they are at Φ(z₀ + (z₀ + z) / (1 − a(z₀ + z))). The bias correction is
    z₀ = Φ⁻¹(share of resampled means below the mean, equal ones counting half); the acceleration is
    a = Σd³ / 6(Σd²)^1.5, with d the deviations from the mean.

    With few runs the interval is too narrow: a 95% interval of ten runs with normal noise holds the
    true mean in about 90% of cases. The permutation test decides significance, not the interval.

    Parameters
    ----------
    differences
        (runs, tasks), at least 2 runs.
    bootstrap
        Its settings; the same runs are drawn for all tasks.

    Returns
    -------
    An interval for each task; it has no width where all differences are equal.

    Raises
    ------
    InputError
        If there are fewer than 2 runs, a number is not finite, or confidence is out of range.

    Notes
    -----
    Source: Efron 1987, "Better Bootstrap Confidence Intervals", equations 2.3 and 6.6, with the
    influence values of the jackknife.
    """
    differences = _as_runs("differences", differences, at_least=2)
    tails = bootstrap.tails
    intervals = []
    for column, means in _resampled_means(differences, bootstrap):
        mean, scale = column.mean(), np.abs(column).max()
        if np.ptp(column) <= _ROUNDING * scale:
            intervals.append(Interval(float(mean), float(mean), float(mean)))
            continue
        tolerance = _ROUNDING * scale
        below = ((means < mean - tolerance).mean() + (means <= mean + tolerance).mean()) / 2
        deviations = column - mean
        acceleration = np.sum(deviations**3) / (6 * np.sum(deviations**2) ** 1.5)
        bias = _NORMAL.inv_cdf(below)
        shifted = [bias + _NORMAL.inv_cdf(tail) for tail in tails]
        levels = [_NORMAL.cdf(bias + z / (1 - acceleration * z)) for z in shifted]
        intervals.append(_interval(mean, means, levels))
    return intervals


def probability_better(
    differences: FloatArray,
    bootstrap: Bootstrap,
) -> list[Interval]:
    """Return P(challenger better) for each task, with its percentile bootstrap interval.

    It is the share of pairs in which the challenger is better; ties count half.

    Source: Bouthillier et al. 2021 (arXiv 2103.03098), section 5, whose runs are paired too.

    Parameters and errors are those of ``mean_interval``.
    """
    wins = _wins(_as_runs("differences", differences, at_least=2))
    tails = bootstrap.tails
    return [
        _interval(column.mean(), shares, tails)
        for column, shares in _resampled_means(wins, bootstrap)
    ]


def interquartile_mean(scores: FloatArray) -> FloatArray:
    """Return the mean of the middle half of all scores, (…, runs, tasks) -> (…).

    Runs and tasks are pooled, and ⌊N/4⌋ of all N scores are left out at either end.

    Source: Agarwal et al. 2021 (arXiv 2108.13264), section 4.3.
    """
    pooled = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    size = pooled.shape[-1]
    cut = size // 4
    middle: FloatArray = pooled[..., cut : size - cut].mean(axis=-1)
    return middle


def overall_interval(
    scores: FloatArray,
    bootstrap: Bootstrap,
) -> Interval:
    """Return the interquartile mean of a contestant's scores, with a percentile bootstrap interval.

    The bootstrap is stratified: the runs of each task are drawn from that task's own runs. So the
    interval covers what other seeds would change, and not what other tasks would.

    Source: Agarwal et al. 2021 (arXiv 2108.13264), section 4.1.

    Parameters
    ----------
    scores
        (runs, tasks), at least 2 runs; scores of different tasks must share a scale.
    bootstrap
        Its settings; runs are drawn anew for each task.
    """
    scores = _as_runs("scores", scores, at_least=2)
    tails = bootstrap.tails
    draws = _stratified_draws(scores, bootstrap)
    return _interval(interquartile_mean(scores), interquartile_mean(_draw(scores, draws)), tails)


def overall_difference(
    challenger: FloatArray,
    baseline: FloatArray,
    bootstrap: Bootstrap,
) -> Interval:
    """Return the difference of two interquartile means, with a percentile bootstrap interval.

    The bootstrap is that of ``overall_interval``, except that it draws pairs of runs.

    Parameters
    ----------
    challenger, baseline
        Scores, both (runs, tasks), at least 2 runs; run r of one is paired with run r of the other.
    bootstrap
        Its settings; pairs are drawn anew for each task.
    """
    challenger, baseline = _as_pairs(challenger, baseline, at_least=2)
    tails = bootstrap.tails
    draws = _stratified_draws(challenger, bootstrap)
    return _interval(
        interquartile_mean(challenger) - interquartile_mean(baseline),
        interquartile_mean(_draw(challenger, draws)) - interquartile_mean(_draw(baseline, draws)),
        tails,
    )


def overall_probability(
    challenger: FloatArray,
    baseline: FloatArray,
    bootstrap: Bootstrap,
) -> Interval:
    """Return the mean over tasks of P(challenger better), with a percentile bootstrap interval.

    The bootstrap draws pairs of runs within each task. Here runs are paired, whereas Agarwal et al.
    2021 compare each run of one contestant with all runs of the other.

    Parameters are those of ``overall_difference``.
    """
    challenger, baseline = _as_pairs(challenger, baseline, at_least=2)
    tails = bootstrap.tails
    wins = _wins(challenger - baseline)
    drawn = _draw(wins, _stratified_draws(wins, bootstrap))
    return _interval(wins.mean(), drawn.mean(axis=(-2, -1)), tails)


def expected_best(scores: FloatArray) -> FloatArray:
    """Return the expected best score of k trials of random search, for k = 1 … n.

    The k trials are drawn without replacement from the n that are given. With the scores sorted,
    s₁ ≤ … ≤ sₙ, the best of k is at most sᵢ with probability C(i, k) / C(n, k). This gives

        E[best of k] = Σᵢ sᵢ (C(i, k) − C(i − 1, k)) / C(n, k),

    an unbiased estimate. (Dodge et al. 2019 draw with replacement, which underestimates it: some
    draws of n miss the best trial.) It comes without an interval, as the bootstrap gives a poor one
    here.

    Source: Tang et al. 2020, "Showing Your Work Doesn't Always Work", section 3.3.

    Parameters
    ----------
    scores
        Scores of independent trials, (n,), in any order; higher is better.

    Returns
    -------
    (n,); the first number is the mean of the scores and the last is the best one.

    Raises
    ------
    InputError
        If there is no trial or a score is not finite.
    """
    scores = as_real("scores", scores, np.dtype(np.float64))
    if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
        raise InputError(f"scores have shape {scores.shape}; give a finite one a trial, (trials,)")
    size = len(scores)
    drawn = np.arange(size)[:, None]
    at_most = np.cumprod(np.maximum(np.arange(size + 1) - drawn, 0) / (size - drawn), axis=0)
    expected: FloatArray = (np.diff(at_most, axis=1) * np.sort(scores)).sum(axis=1)
    return expected


def share_reached(times: FloatArray) -> Reached:
    """Return the share of runs that had reached a threshold at each time.

    A run that never reached it, because its budget ended or it failed, is censored at the end of
    the budget and stays among those counted. No run is censored earlier, so the estimate of Kaplan
    and Meier 1958 is simply the share of all runs.

    Parameters
    ----------
    times
        Time at which each run reached the threshold, in steps or seconds, (runs,); infinite if it
        never did.

    Raises
    ------
    InputError
        If there is no run, or a time is negative or not a number.
    """
    times = as_real("times", times, np.dtype(np.float64))
    if times.ndim != 1 or not times.size or not (times >= 0).all():
        raise InputError(
            f"times have shape {times.shape}; give one a run, (runs,), from 0 to infinity"
        )
    reached, counts = np.unique(times[np.isfinite(times)], return_counts=True)
    share = np.cumsum(counts) / len(times)
    by_half = reached[share >= 0.5]
    return Reached(reached, share, float(by_half[0]) if by_half.size else np.inf)


def _as_runs(name: str, array: Any, at_least: int = 1) -> FloatArray:
    runs = as_real(name, array, np.dtype(np.float64))
    if runs.ndim != 2 or not runs.size or len(runs) < at_least:
        raise InputError(
            f"{name} has shape {runs.shape}; "
            f"give (runs, tasks) with at least {at_least} runs and one task"
        )
    if not np.isfinite(runs).all():
        raise InputError(f"{name} has numbers that are not finite; leave out pairs that failed")
    return runs


def _as_pairs(challenger: Any, baseline: Any, at_least: int) -> tuple[FloatArray, FloatArray]:
    challenger = _as_runs("challenger", challenger, at_least)
    baseline = _as_runs("baseline", baseline, at_least)
    if challenger.shape != baseline.shape:
        raise InputError(
            f"challenger has shape {challenger.shape} and baseline {baseline.shape}; "
            "give the same pairs of runs on the same tasks"
        )
    return challenger, baseline


def _swaps(num_pairs: int, num_resamples: int, rng: np.random.Generator) -> NDArray:
    """Return the pairs that change sides in each pattern, (patterns, pairs); in the first, none do.

    These are all 2ⁿ patterns, or the observed one and ``num_resamples`` more.
    """
    if num_pairs <= MOST_PAIRS_TRIED_ALL:
        patterns = np.arange(2**num_pairs)[:, None]
        return (patterns >> np.arange(num_pairs) & 1).astype(bool)
    drawn = rng.integers(2, size=(num_resamples, num_pairs), dtype=np.uint8).astype(bool)
    return np.concatenate((np.zeros((1, num_pairs), bool), drawn))


def _p_value(observed: float, permuted: FloatArray, scale: float) -> float:
    """Return the share of statistics at least as large, including those equal up to rounding."""
    return float((permuted >= observed - _ROUNDING * scale).mean())


def _wins(differences: FloatArray) -> FloatArray:
    """Return 1 where the challenger is better, ½ at a tie, 0 otherwise."""
    return (np.sign(differences) + 1) / 2


def _resampled_means(
    values: FloatArray, bootstrap: Bootstrap
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield each task's column (runs,) with its resampled means (resamples,)."""
    runs = len(values)
    counts = bootstrap.rng.multinomial(
        runs, np.full(runs, 1 / runs), size=bootstrap.num_resamples
    ).astype(np.float64)
    for column in values.T:
        yield column, _products(counts, column) / runs


def _products(rows: FloatArray, column: FloatArray) -> FloatArray:
    """Return the product of each row with the column.

    It does not use linear algebra routines, whose bits may depend on the number of threads.
    """
    products: FloatArray = np.einsum("rn,n->r", rows, np.ascontiguousarray(column))
    return products


def _stratified_draws(scores: FloatArray, bootstrap: Bootstrap) -> NDArray:
    """Return the indices of the runs drawn, with replacement and anew for each task."""
    size = (bootstrap.num_resamples, *scores.shape)
    return bootstrap.rng.integers(len(scores), size=size)


def _draw(scores: FloatArray, draws: NDArray) -> FloatArray:
    drawn: FloatArray = scores[draws, np.arange(scores.shape[1])]
    return drawn


def _interval(estimate: Any, resampled: FloatArray, levels: Any) -> Interval:
    low, high = np.quantile(resampled, levels)
    return Interval(float(estimate), float(low), float(high))
