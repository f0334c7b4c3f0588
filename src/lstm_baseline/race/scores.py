"""The rules by which scores are held against a task's ladder: pure functions of numbers.

- A score is *normalised* as (score − best heuristic) / (oracle − best heuristic). The best
  heuristic is the best rule that is not an oracle, so where a task has no heuristic it is chance;
  where a task has no oracle, the metric's perfect score takes its place.
- A run has *learned* if it finished and its test score is better than every rule of the ladder that
  is not an oracle, and than its own network before training, by more than two standard errors of
  the score. A contestant has learned a task if more than half of its runs have.
- The *value* of a run, which a verdict counts, is its normalised score, at least that of chance. A
  run that failed counts as chance: leaving it out would favour whoever fails most.
- The *threshold* is the score half way from the best heuristic to the oracle, or that of the best
  heuristic where there is no oracle. A run reaches it at its first validation in training that
  is at least as good; a run that failed has not reached it. Medians over seeds count what was not
  reached as infinitely late.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.metrics import Metric
from lstm_baseline.training import Record

_CLEARLY = 2.0
"""Standard errors by which a score has to be better."""


class Spread(NamedTuple):
    """A mean over seeds and how far the seeds lie apart."""

    mean: float
    std: float | None
    """Sample standard deviation (n − 1); None for a single seed."""
    num_seeds: int


def is_better(score: float, other: float, metric: Metric) -> bool:
    """Return whether a score is strictly better than another."""
    return score > other if metric.higher_is_better else score < other


def best_heuristic(ladder: Sequence[Rung], metric: Metric) -> Rung | None:
    """Return the best rung that is not an oracle."""
    return _best([rung for rung in ladder if rung.kind != "oracle"], metric)


def best_oracle(ladder: Sequence[Rung], metric: Metric) -> Rung | None:
    """Return the best oracle."""
    return _best([rung for rung in ladder if rung.kind == "oracle"], metric)


def threshold(ladder: Sequence[Rung], metric: Metric) -> float | None:
    """Return the score whose first reaching is timed; None where there is no rule."""
    best, oracle = best_heuristic(ladder, metric), best_oracle(ladder, metric)
    if best is None:
        return None
    return best.score if oracle is None else (best.score + oracle.score) / 2


def normalise(score: float | None, ladder: Sequence[Rung], metric: Metric) -> float | None:
    """Return a normalised score; None without a score, or if the best heuristic is perfect."""
    best, oracle = best_heuristic(ladder, metric), best_oracle(ladder, metric)
    ceiling = metric.perfect if oracle is None else oracle.score
    if score is None or best is None or not is_better(ceiling, best.score, metric):
        return None
    return (score - best.score) / (ceiling - best.score)


def value(normalised: float | None, ladder: Sequence[Rung], metric: Metric) -> float | None:
    """Return what a verdict counts of a normalised score; None where nothing can be."""
    chance = normalise(ladder[0].score, ladder, metric) if ladder else None
    return chance if normalised is None or chance is None else max(normalised, chance)


def has_learned(
    score: float | None,
    standard_error: float | None,
    untrained: float | None,
    ladder: Sequence[Rung],
    metric: Metric,
) -> bool:
    """Return whether a run has learned.

    Parameters
    ----------
    score, standard_error
        Test score and how far it may be off; None where the run failed.
    untrained
        Test score of the same network before training.
    ladder, metric
        Those of the task.
    """
    if score is None or standard_error is None:
        return False
    margin = _CLEARLY * standard_error
    surely = score - margin if metric.higher_is_better else score + margin
    best = best_heuristic(ladder, metric)
    to_beat = [untrained, None if best is None else best.score]
    return all(is_better(surely, other, metric) for other in to_beat if other is not None)


def first_reached(
    history: Sequence[Record], wanted: float | None, metric: Metric
) -> tuple[float | None, float | None]:
    """Return steps and seconds of training to the first validation at a threshold.

    Both are infinite if there is no such validation, and None if there is no threshold.
    """
    if wanted is None:
        return None, None
    for record in history:
        if record.step > 0 and not is_better(wanted, record.metric, metric):
            return float(record.step), record.seconds
    return math.inf, math.inf


def mean_ladder(ladders: Sequence[Sequence[Rung]], metric: Metric) -> list[Rung]:
    """Return each rung with its mean score over ladders, worst first."""
    scores: dict[str, list[float]] = {}
    for ladder in ladders:
        for rung in ladder:
            scores.setdefault(rung.name, []).append(rung.score)
    rungs = [rung._replace(score=fmean(scores[rung.name])) for rung in ladders[0]]
    return sorted(rungs, key=lambda rung: rung.score, reverse=not metric.higher_is_better)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean and standard deviation of the values that are known; None if none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    std = stdev(known) if len(known) > 1 else None
    return Spread(fmean(known), std, len(known))


def _best(rungs: Sequence[Rung], metric: Metric) -> Rung | None:
    best = max if metric.higher_is_better else min
    return best(rungs, key=lambda rung: rung.score, default=None)
