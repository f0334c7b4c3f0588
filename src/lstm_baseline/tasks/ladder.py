"""Where a score stands on a task's ladder: pure functions of numbers.

- A score is *normalised* as (score − best heuristic) / (oracle − best heuristic). The best
  heuristic is the best rule that is not an oracle; where a task has no heuristic it is chance.
  Where a task has no oracle, the metric's perfect score takes its place.
- A run has *learned* if it finished and its test score is better, by more than two standard errors
  of the score, than every rule of the ladder that is not an oracle, and than its own network before
  training. Where that network's score is so good that not even a perfect one would be better by
  two standard errors, the loss decides instead: on the same test rows training must have brought it
  down, by more than two standard errors of the mean difference.
"""

from collections.abc import Sequence
from typing import NamedTuple

from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.metrics import Metric

CLEARLY = 2.0
"""Number of standard errors by which a score has to be better."""


class RunScores(NamedTuple):
    """What a run scored on its test samples."""

    score: float | None
    """The metric; None if the run failed."""
    standard_error: float | None
    untrained: float | None
    """The metric of the same network before training."""
    loss_drop: float | None = None
    """Loss of the untrained network minus that of the trained one, mean over targets."""
    loss_drop_error: float | None = None
    """Standard error of ``loss_drop``."""


def is_better(score: float, other: float, metric: Metric) -> bool:
    """Return True if a score is strictly better than another."""
    return score > other if metric.higher_is_better else score < other


def best_heuristic(ladder: Sequence[Rung], metric: Metric) -> Rung | None:
    """Return the best rung that is not an oracle."""
    return _best([rung for rung in ladder if rung.kind != "oracle"], metric)


def best_oracle(ladder: Sequence[Rung], metric: Metric) -> Rung | None:
    """Return the best oracle."""
    return _best([rung for rung in ladder if rung.kind == "oracle"], metric)


def normalise(score: float | None, ladder: Sequence[Rung], metric: Metric) -> float | None:
    """Return a normalised score; None without a score, or if the best heuristic is perfect."""
    best, oracle = best_heuristic(ladder, metric), best_oracle(ladder, metric)
    ceiling = metric.perfect if oracle is None else oracle.score
    if score is None or best is None or not is_better(ceiling, best.score, metric):
        return None
    return (score - best.score) / (ceiling - best.score)


def has_learned(found: RunScores, ladder: Sequence[Rung], metric: Metric) -> bool:
    """Return True if a run has learned."""
    return not unbeaten(found, ladder, metric)


def unbeaten(found: RunScores, ladder: Sequence[Rung], metric: Metric) -> list[str]:
    """Return what keeps a run from having learned: rules it does not clearly beat, by name.

    "untrained" stands for its own network before training. An empty list: the run has learned.
    """
    if found.score is None or found.standard_error is None:
        return ["failed"]
    margin = CLEARLY * found.standard_error
    if not metric.higher_is_better:
        margin = -margin
    surely = found.score - margin
    names = []
    best = best_heuristic(ladder, metric)
    if best is not None and not is_better(surely, best.score, metric):
        names.append(best.name)
    if found.untrained is not None and not is_better(surely, found.untrained, metric):
        no_room = not is_better(metric.perfect - margin, found.untrained, metric)
        if not (no_room and _loss_fell(found)):
            names.append("untrained")
    return names


def _loss_fell(found: RunScores) -> bool:
    if found.loss_drop is None or found.loss_drop_error is None:
        return False
    return found.loss_drop > CLEARLY * found.loss_drop_error


def _best(rungs: Sequence[Rung], metric: Metric) -> Rung | None:
    best = max if metric.higher_is_better else min
    return best(rungs, key=lambda rung: rung.score, default=None)
