"""What came out of a race: scores and speed of every contestant, held against the ladder.

Pure data, no verdict. A mean with its spread over a handful of seeds is not a test, so nothing
here says who won; it says who learned.

The rules, stated once:

- A run has *learned* if it finished and its test score is better than every rule of the ladder that
  is not an oracle and better than its own network scored before training.
- A score is *normalised* as (score − best heuristic) / (oracle − best heuristic). The best
  heuristic is the best rule that is not an oracle, so where a task has no heuristic it is chance.
- The *threshold* is the score half way from the best heuristic to the oracle, or that of the best
  heuristic where there is no oracle. A run reaches it at its first validation in training that
  is at least as good; a run that failed has not reached it. Medians over seeds count what was not
  reached as infinitely late.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lstm_baseline.comparison.plan import Plan, RunSpec
from lstm_baseline.comparison.run import RunResult
from lstm_baseline.tasks import GeneratedTask, Task
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.metrics import Metric


class Spread(NamedTuple):
    """A mean over seeds and how far the seeds lie apart."""

    mean: float
    std: float | None
    """Sample standard deviation (n − 1); None for a single seed."""
    num_seeds: int


class Speed(NamedTuple):
    """How soon a contestant's runs reached the threshold."""

    steps: float
    """Median over all seeds; infinite when half of them or more never got there."""
    seconds: float
    """The same in seconds of training."""
    reached: int
    """Seeds that got there."""


@dataclass(frozen=True)
class SeedOutcome:
    """One run, held against the ladder."""

    spec: RunSpec
    result: RunResult
    normalised: float | None
    """None where there is no oracle, or no score."""
    learned: bool
    steps: float | None
    """To the threshold; infinite if never reached, None where there is no threshold."""
    seconds: float | None
    """The same in seconds of training."""


@dataclass(frozen=True)
class Contestant:
    """A model on a task, over all seeds."""

    model: str
    width: int
    num_params: int
    state_size: int
    flops_per_step: int
    seeds: tuple[SeedOutcome, ...]

    @property
    def scores(self) -> tuple[float | None, ...]:
        """Test score of each seed, None where it failed."""
        return tuple(seed.result.score for seed in self.seeds)

    @property
    def score(self) -> Spread | None:
        """Test scores of the runs that finished; None if none did."""
        return _spread(self.scores)

    @property
    def untrained(self) -> Spread | None:
        """Test scores of the same networks before training."""
        return _spread(seed.result.untrained_score for seed in self.seeds)

    @property
    def normalised(self) -> Spread | None:
        """Normalised test scores of the runs that finished."""
        return _spread(seed.normalised for seed in self.seeds)

    @property
    def training_seconds(self) -> Spread | None:
        """Wall clock in training steps of the runs that finished."""
        return _spread(s.result.seconds for s in self.seeds if s.result.score is not None)

    @property
    def num_learned(self) -> int:
        """Seeds that learned."""
        return sum(seed.learned for seed in self.seeds)

    @property
    def failures(self) -> tuple[SeedOutcome, ...]:
        """Runs that failed."""
        return tuple(seed for seed in self.seeds if seed.result.score is None)

    @property
    def speed(self) -> Speed | None:
        """How soon the threshold was reached; None where there is no threshold."""
        steps = [seed.steps for seed in self.seeds if seed.steps is not None]
        seconds = [seed.seconds for seed in self.seeds if seed.seconds is not None]
        if not steps:
            return None
        reached = sum(math.isfinite(step) for step in steps)
        return Speed(statistics.median(steps), statistics.median(seconds), reached)


@dataclass(frozen=True)
class TaskOutcome:
    """A task: its ladder and every contestant on it."""

    task: Task
    title: str
    """The task's name, with what sets it apart where the race has two of that name."""
    ladder: tuple[Rung, ...]
    """Worst first; scores are means over the seeds where they depend on the seed."""
    contestants: tuple[Contestant, ...]
    """In the plan's order."""

    @property
    def metric(self) -> Metric:
        """The task's metric."""
        return self.task.metric

    @property
    def best_heuristic(self) -> Rung | None:
        """The best rung that is not an oracle."""
        return _best_heuristic(self.ladder, self.metric)

    @property
    def oracle(self) -> Rung | None:
        """The best oracle."""
        return _oracle(self.ladder, self.metric)

    @property
    def threshold(self) -> float | None:
        """The score whose first reaching is timed."""
        return _threshold(self.ladder, self.metric)


def summarise(
    plan: Plan, specs: Sequence[RunSpec], results: Sequence[RunResult]
) -> list[TaskOutcome]:
    """Hold every run against its task's ladder.

    Parameters
    ----------
    plan
        The race.
    specs, results
        Its runs and how they ended, in the same order.

    Returns
    -------
    An outcome for each task of the plan, contestants and seeds in the plan's order.
    """
    runs = list(zip(specs, results, strict=True))
    titles = _titles(plan.tasks)
    outcomes = []
    for task, title in zip(plan.tasks, titles, strict=True):
        of_task = [(spec, result) for spec, result in runs if spec.task is task]
        ladders = _ladders(task, {spec.seed for spec, _ in of_task})
        contestants = tuple(
            _contestant(
                [
                    _seed_outcome(spec, result, ladders[spec.seed])
                    for spec, result in of_task
                    if spec.model == model
                ]
            )
            for model in plan.models
        )
        ladder = tuple(_mean_ladder(list(ladders.values()), task.metric))
        outcomes.append(TaskOutcome(task, title, ladder, contestants))
    return outcomes


def is_better(score: float, other: float, metric: Metric) -> bool:
    """Return whether a score is strictly better than another."""
    return score > other if metric.higher_is_better else score < other


def _seed_outcome(spec: RunSpec, result: RunResult, ladder: Sequence[Rung]) -> SeedOutcome:
    metric, score = spec.task.metric, result.score
    best, oracle = _best_heuristic(ladder, metric), _oracle(ladder, metric)
    to_beat = [result.untrained_score, *([] if best is None else [best.score])]
    learned = score is not None and all(is_better(score, other, metric) for other in to_beat)
    steps, seconds = _first_reached(result, _threshold(ladder, metric), metric)
    return SeedOutcome(spec, result, _normalise(score, best, oracle), learned, steps, seconds)


def _normalise(score: float | None, best: Rung | None, oracle: Rung | None) -> float | None:
    if score is None or best is None or oracle is None or oracle.score == best.score:
        return None
    return (score - best.score) / (oracle.score - best.score)


def _contestant(seeds: Sequence[SeedOutcome]) -> Contestant:
    spec, result = seeds[0].spec, seeds[0].result
    return Contestant(
        spec.model,
        spec.width,
        result.num_params,
        result.state_size,
        result.flops_per_step,
        tuple(sorted(seeds, key=lambda seed: seed.spec.seed)),
    )


def _first_reached(
    result: RunResult, threshold: float | None, metric: Metric
) -> tuple[float | None, float | None]:
    """Return steps and seconds of training to the first validation at the threshold."""
    if threshold is None:
        return None, None
    if result.score is not None:
        for record in result.history:
            if record.step > 0 and not is_better(threshold, record.metric, metric):
                return float(record.step), record.seconds
    return math.inf, math.inf


def _ladders(task: Task, seeds: Iterable[int]) -> dict[int, list[Rung]]:
    """Return the ladder that each seed's scores are held against.

    A generated task measures its rules on so many fresh samples that one ladder serves all seeds;
    a file's ladder belongs to the seed's own test rows.
    """
    if isinstance(task, GeneratedTask):
        ladder = task.ladder()
        return dict.fromkeys(sorted(seeds), ladder)
    return {seed: task.ladder(seed) for seed in sorted(seeds)}


def _mean_ladder(ladders: Sequence[Sequence[Rung]], metric: Metric) -> list[Rung]:
    """Return each rung with its mean score, worst first."""
    scores: dict[str, list[float]] = {}
    for ladder in ladders:
        for rung in ladder:
            scores.setdefault(rung.name, []).append(rung.score)
    rungs = [rung._replace(score=statistics.fmean(scores[rung.name])) for rung in ladders[0]]
    return sorted(rungs, key=lambda rung: rung.score, reverse=not metric.higher_is_better)


def _best_heuristic(ladder: Sequence[Rung], metric: Metric) -> Rung | None:
    return _best([rung for rung in ladder if rung.kind != "oracle"], metric)


def _oracle(ladder: Sequence[Rung], metric: Metric) -> Rung | None:
    return _best([rung for rung in ladder if rung.kind == "oracle"], metric)


def _best(rungs: Sequence[Rung], metric: Metric) -> Rung | None:
    best = max if metric.higher_is_better else min
    return best(rungs, key=lambda rung: rung.score, default=None)


def _threshold(ladder: Sequence[Rung], metric: Metric) -> float | None:
    best, oracle = _best_heuristic(ladder, metric), _oracle(ladder, metric)
    if best is None:
        return None
    return best.score if oracle is None else (best.score + oracle.score) / 2


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    std = statistics.stdev(known) if len(known) > 1 else None
    return Spread(statistics.fmean(known), std, len(known))


def _titles(tasks: Sequence[Task]) -> list[str]:
    """Return the tasks' names, each with the arguments that tell it from others of its name."""
    titles = []
    for task in tasks:
        config = task.config()
        others = [
            other.config() for other in tasks if other is not task and other.name == task.name
        ]
        telling = {
            key: value
            for key, value in config.items()
            if any(other.get(key) != value for other in others)
        }
        listed = ", ".join(f"{key}={value}" for key, value in telling.items())
        titles.append(f"{task.name} ({listed})" if telling else task.name)
    return titles
