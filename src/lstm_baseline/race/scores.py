"""The rules that judge the runs of a race, beyond where a score stands on its ladder.

- The *value* of a run, which a verdict counts, is its normalised score, at least that of chance. A
  run that failed counts as chance: leaving it out would favour the contestant that fails most.
- A contestant has *learned* a task if more than half of its runs have.
- A run *still improved* if it used up its steps and the last fifth of them brought its best
  validation up by more than the margin, in normalised score. Its score then says what it reaches at
  this budget. One that patience stopped, or that failed, did not improve any more.
- With another question put to each sample, a model that *uses the question* answers that one: its
  score falls by more than half of the way to what the oracle scores so.
- The *threshold* is the score half way from the best heuristic to the oracle, or the score of the
  best heuristic where there is no oracle. A run reaches it at its first validation in training that
  is at least as good; a run that failed has not reached it. Medians over seeds count a run that has
  not reached it as infinitely late.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.ladder import best_heuristic, best_oracle, is_better, normalise
from lstm_baseline.tasks.metrics import Metric
from lstm_baseline.training import Record

NEAR = 0.05
"""How far below a contestant, in normalised score, something that keeps no memory is near it."""

_LAST_PART = 0.2
_LEAST_GAIN = 0.01


class Spread(NamedTuple):
    """Mean over seeds and standard deviation between them."""

    mean: float
    std: float | None
    """Sample standard deviation (n − 1); None for a single seed."""
    num_seeds: int


def threshold(ladder: Sequence[Rung], metric: Metric) -> float | None:
    """Return the score up to which training is timed; None where the ladder has no rule."""
    best, oracle = best_heuristic(ladder, metric), best_oracle(ladder, metric)
    if best is None:
        return None
    return best.score if oracle is None else (best.score + oracle.score) / 2


def value(normalised: float | None, ladder: Sequence[Rung], metric: Metric) -> float | None:
    """Return the value that a verdict counts for a normalised score; None where there is none."""
    chance = normalise(ladder[0].score, ladder, metric) if ladder else None
    return chance if normalised is None or chance is None else max(normalised, chance)


def still_improved(
    history: Sequence[Record],
    num_steps: int,
    ladder: Sequence[Rung],
    metric: Metric,
    margin: float,
) -> bool:
    """Return whether a run that finished still improved when its steps ended.

    Parameters
    ----------
    history
        Its validations.
    num_steps
        Its budget.
    ladder, metric
        Those of its task.
    margin
        Smallest difference in normalised score that matters; at least a hundredth is taken, since a
        learning rate that falls to nothing always brings a little.
    """
    best = max if metric.higher_is_better else min
    if not history or history[-1].step < num_steps:
        return False
    early = [r.metric for r in history if r.step <= (1 - _LAST_PART) * num_steps]
    before = normalise(best(early), ladder, metric)
    after = normalise(best(r.metric for r in history), ladder, metric)
    if before is None or after is None:
        return False
    return after - before > max(margin, _LEAST_GAIN)


def uses_question(
    score: float | None,
    other: float | None,
    oracle: float | None,
    ladder: Sequence[Rung],
    metric: Metric,
) -> bool | None:
    """Return whether a run's answers depend on the question.

    Parameters
    ----------
    score
        Its test score.
    other
        The same with another question put to each sample.
    oracle
        What the oracle scores with another question put to each sample.
    ladder, metric
        Those of its task.

    Returns
    -------
    None where the task has no question, or the run's score is so low that there is nowhere to fall.
    """
    if score is None or other is None or oracle is None or not ladder:
        return None
    if not (is_better(score, ladder[0].score, metric) and is_better(score, oracle, metric)):
        return None
    return (score - other) / (score - oracle) > 0.5


def first_reached(
    history: Sequence[Record], wanted: float | None, metric: Metric
) -> tuple[float | None, float | None]:
    """Return steps and seconds of training up to the first validation that reaches a threshold.

    Both are infinite if there is no such validation, and None if there is no threshold.
    """
    if wanted is None:
        return None, None
    for record in history:
        if record.step > 0 and not is_better(wanted, record.metric, metric):
            return float(record.step), record.seconds
    return math.inf, math.inf


def mean_ladder(ladders: Sequence[Sequence[Rung]], metric: Metric) -> list[Rung]:
    """Return the rungs, worst first, each with its mean score over the ladders."""
    scores: dict[str, list[float]] = {}
    for ladder in ladders:
        for rung in ladder:
            scores.setdefault(rung.name, []).append(rung.score)
    rungs = [rung._replace(score=fmean(scores[rung.name])) for rung in ladders[0]]
    return sorted(rungs, key=lambda rung: rung.score, reverse=not metric.higher_is_better)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean and standard deviation of the known values; None if none is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    std = stdev(known) if len(known) > 1 else None
    return Spread(fmean(known), std, len(known))
