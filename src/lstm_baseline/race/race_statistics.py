"""The statistics that a race is judged by: tests, intervals, and curves over trials and time.

Pure functions of NumPy arrays. Scores and differences are (runs, tasks). Run r of the challenger
and run r of the baseline share a seed and with it their data: they are a *pair*. A difference is
challenger − baseline, and higher is better. A function that draws random numbers takes a generator.
The result for one task does not depend on the other tasks, to the last bit.
"""

import math
from functools import cache
from itertools import count
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_real, as_size
from lstm_baseline.engine.shapes import FloatArray

NUM_RESAMPLES = 10_000
"""Sets of runs that a sign-flip test draws where it cannot try them all."""

MOST_PAIRS_TRIED_ALL = 14
"""Largest number of paired runs for which a sign-flip test tries every set of them."""

_NORMAL = NormalDist()
_SIMULATED = 1000

# Rounding makes sums that are equal on paper differ by less than this, relative to the numbers
# summed.
_ROUNDING = 1e-12


class Interval(NamedTuple):
    """An estimate with its confidence interval; its ends are infinite where runs are too few."""

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
    return math.ldexp(2.0, -as_size("num_runs", num_runs))


def runs_needed(level: float, num_comparisons: int) -> int:
    """Return the smallest number of paired runs with which a race can reach a verdict.

    Holm's strictest step asks for p ≤ level / num_comparisons. With fewer runs no difference,
    however large and regular, is significant at that step.
    """
    as_size("num_comparisons", num_comparisons)
    if not 0 < level < 1:
        raise InputError(f"level is {level!r}; give a number between 0 and 1")
    return next(runs for runs in count(1) if smallest_p_value(runs) <= level / num_comparisons)


class SignFlips:
    """The sign-flip test of a mean, and the interval that it gives.

    If differences d₁ … dₙ are symmetric about θ, each d − θ is as likely to have the other sign.
    For a set F of runs whose signs change, the sum of all becomes smaller or stays if
    Σ_F (d − θ) ≥ 0, that is, if the mean of F is at least θ. So the test that θ is not above the
    true centre counts sets, the empty one among them:

        p(below θ) = share of sets with mean ≥ θ,   p(above θ) = share of sets with mean ≤ θ,

    the p-value for "the mean is θ" is twice the smaller one, and the means of the sets themselves
    are the ends of intervals: those θ whose p-value is above the level. So the interval holds 0
    exactly where the p-value is above the level. All 2ⁿ sets are tried for up to 14 runs. With more
    runs sets are drawn, and the empty one counts beside them: so p is never 0, and the test keeps
    its level.

    Sources: Fisher 1935, "The Design of Experiments", section 21; Hartigan 1969, "Using Subsample
    Values as Typical Values", for the interval; Phipson and Smyth 2010 for drawn sets.

    Parameters
    ----------
    num_runs
        n, the number of paired runs.
    rng
        Draws the sets; not used for up to 14 runs.
    num_resamples
        Number of sets drawn.
    """

    def __init__(
        self, num_runs: int, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
    ) -> None:
        as_size("num_runs", num_runs)
        if num_runs <= MOST_PAIRS_TRIED_ALL:
            self._sets = _all_sets(num_runs)
        else:
            drawn = rng.integers(2, size=(num_resamples, num_runs), dtype=np.uint8)
            self._sets = drawn[drawn.any(axis=1)].astype(np.float64)
        self._sizes: FloatArray = self._sets.sum(axis=1)

    def p_values(self, differences: FloatArray, center: float = 0.0) -> FloatArray:
        """Test for each task whether the mean is ``center``.

        Parameters
        ----------
        differences
            (runs, tasks).
        center
            The mean that is tested.

        Returns
        -------
        p-values, (tasks,); 1 where all differences are ``center``.

        Raises
        ------
        InputError
            If the runs are not n, or a number is not finite.
        """
        below, above = self._sides(differences, center)
        p_values: FloatArray = np.minimum(1.0, 2 * np.minimum(below, above))
        return p_values

    def equivalence_p_values(self, differences: FloatArray, margin: float) -> FloatArray:
        """Test for each task whether the mean lies outside ±margin; a small p-value says inside.

        It is twice the larger of the two one-sided p-values, of "not above −margin" and "not below
        margin", so that it is at most the level where the interval lies within ±margin.

        Source: Schuirmann 1987; Lakens 2017.

        Parameters, returned values and errors are as those of ``p_values``.
        """
        _, above = self._sides(differences, -margin)
        below, _ = self._sides(differences, margin)
        p_values: FloatArray = np.minimum(1.0, 2 * np.maximum(below, above))
        return p_values

    def intervals(self, differences: FloatArray, level: float) -> list[Interval]:
        """Return each task's mean difference with its interval of confidence 1 − level.

        It holds the true mean in at least that share of cases if differences are symmetric about
        it. If they are skewed it holds it less often, and no interval can do better for all
        distributions (Bahadur and Savage 1956): docs/races.md says how often, by simulation.

        Raises
        ------
        InputError
            As ``p_values``, or if the level is out of range.
        """
        differences = self._checked(differences)
        if not 0 < level < 1:
            raise InputError(f"level is {level!r}; give a number between 0 and 1")
        # Of N sets, the empty one among them, this many may lie beyond an end.
        beyond = math.floor(level / 2 * (len(self._sets) + 1) * (1 + _ROUNDING))
        found = []
        for column in differences.T:
            mean = float(column.mean())
            if beyond < 1:
                found.append(Interval(mean, -math.inf, math.inf))
                continue
            means = np.sort(_products(self._sets, column) / self._sizes)
            low, high = means[beyond - 1], means[-beyond]
            # Rounding may put the mean of equal differences beside them.
            found.append(Interval(mean, min(mean, float(low)), max(mean, float(high))))
        return found

    def _sides(self, differences: FloatArray, center: float) -> tuple[FloatArray, FloatArray]:
        """Return the shares of sets whose mean is at least, and at most, the center."""
        differences = self._checked(differences) - center
        below, above = [], []
        for column in differences.T:
            sums = _products(self._sets, column)
            tolerance = _ROUNDING * np.abs(column).sum()
            below.append(((sums >= -tolerance).sum() + 1) / (len(sums) + 1))
            above.append(((sums <= tolerance).sum() + 1) / (len(sums) + 1))
        return np.array(below), np.array(above)

    def _checked(self, differences: FloatArray) -> FloatArray:
        differences = _as_runs("differences", differences)
        num_runs = self._sets.shape[1]
        if len(differences) != num_runs:
            raise InputError(f"differences have {len(differences)} runs; expected {num_runs}")
        return differences


@cache
def _all_sets(num_runs: int) -> FloatArray:
    """Return all sets of runs but the empty one, (2ⁿ − 1, runs), as zeros and ones."""
    numbers = np.arange(1, 2**num_runs)[:, None]
    sets: FloatArray = (numbers >> np.arange(num_runs) & 1).astype(np.float64)
    sets.flags.writeable = False
    return sets


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


def probability_better(differences: FloatArray, level: float) -> list[Interval]:
    """Return P(challenger better) for each task, with its exact interval of confidence 1 − level.

    It is the share of pairs in which the challenger is better; ties count half (Bouthillier et al.
    2021, arXiv 2103.03098, section 5). ``share`` has its ends: the smallest and the largest
    probability at which so many wins, or more, or fewer, are not too rare.

    Parameters
    ----------
    differences
        (runs, tasks).
    level
        1 − the confidence of the intervals.

    Raises
    ------
    InputError
        If there is no run, a number is not finite, or the level is out of range.
    """
    differences = _as_runs("differences", differences)
    if not 0 < level < 1:
        raise InputError(f"level is {level!r}; give a number between 0 and 1")
    runs = len(differences)
    return [share(float(won), runs, level) for won in ((np.sign(differences) + 1) / 2).sum(axis=0)]


def share(count: float, runs: int, level: float) -> Interval:
    """Return the share count / runs with its exact interval of confidence 1 − level.

    The ends are those of Clopper and Pearson 1934. A count that is no whole number, as ties make
    it, is rounded away from the middle at either end.
    """
    low = _smallest_probability(math.floor(count), runs, level / 2)
    high = 1 - _smallest_probability(math.floor(runs - count), runs, level / 2)
    return Interval(count / runs, low, high)


def _smallest_probability(won: int, runs: int, tail: float) -> float:
    """Return the probability of a win at which ``won`` or more of ``runs`` come in ``tail``."""
    if won == 0:
        return 0.0
    low, high = 0.0, won / runs
    while (middle := (low + high) / 2) not in (low, high):
        at_least = math.fsum(
            math.comb(runs, k) * middle**k * (1 - middle) ** (runs - k)
            for k in range(won, runs + 1)
        )
        low, high = (middle, high) if at_least < tail else (low, middle)
    return low


def seeds_needed(
    differences: FloatArray, margin: float, level: float, power: float = 0.8
) -> int | None:
    """Estimate how many paired runs would probably decide a task, from the runs that there are.

    With mean m, standard deviation s and normal quantiles z, n runs find a difference beyond the
    margin with the given power if (|m| − margin) √n / s is z(1 − level / 2) + z(power), and an
    equivalence if (margin − |m|) √n / s is. It is an estimate, as m and s are.

    Parameters
    ----------
    differences
        (runs,), at least 2.
    margin, level
        Those of the rule; the level is that of Holm's strictest step.
    power
        Probability with which so many runs decide.

    Returns
    -------
    The number; None if the mean is just the margin.
    """
    mean, spread = abs(float(np.mean(differences))), float(np.std(differences, ddof=1))
    distance = abs(mean - margin)
    if distance <= _ROUNDING * max(mean, margin):
        return None
    quantiles = _NORMAL.inv_cdf(1 - level / 2) + _NORMAL.inv_cdf(power)
    return max(runs_needed(level, 1), math.ceil((quantiles * spread / distance) ** 2))


def power(num_runs: int, level: float, rng: np.random.Generator) -> float:
    """Return the chance that a sign-flip test finds a mean of one standard deviation.

    It is simulated with normal differences, a thousand races.

    Parameters
    ----------
    num_runs, level
        Number of paired runs; largest p-value that counts.
    rng
        Draws the differences, and the sets where there are more than 14 runs.
    """
    drawn = rng.standard_normal((num_runs, _SIMULATED)) + 1.0
    p_values = SignFlips(num_runs, rng).p_values(drawn)
    return float((p_values <= level).mean())


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


def _products(rows: FloatArray, column: FloatArray) -> FloatArray:
    """Return the product of each row with the column.

    It does not use linear algebra routines, whose bits may depend on the number of threads.
    """
    products: FloatArray = np.einsum("rn,n->r", rows, np.ascontiguousarray(column))
    return products
