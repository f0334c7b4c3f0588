"""The rules that judge the runs of a race, beyond where a score stands on its ladder.

- The *value* of a run, which a verdict counts, is its normalised score, at least that of chance. A
  run that failed counts as chance: leaving it out would favour the contestant that fails most.
- A contestant has *learned* a task if more than half of its runs have.
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
