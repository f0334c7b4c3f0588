"""What came out of a race: scores and speed of every contestant, held against the ladder.

The rules, stated once:

- A score is *normalised* as (score − best heuristic) / (oracle − best heuristic). The best
  heuristic is the best rule that is not an oracle, so where a task has no heuristic it is chance;
  where a task has no oracle, the metric's perfect score takes its place.
- A run has *learned* if it finished and its test score is better than every rule of the ladder that
  is not an oracle, and than its own network before training, by more than two standard errors of
  the score. A contestant has learned a task if more than half of its runs have.
- What a verdict counts of a run is its normalised score, at least that of chance. A run that failed
  counts as chance: leaving it out would favour whoever fails most.
- The *threshold* is the score half way from the best heuristic to the oracle, or that of the best
  heuristic where there is no oracle. A run reaches it at its first validation in training that
  is at least as good; a run that failed has not reached it. Medians over seeds count what was not
  reached as infinitely late.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.race.plan import Chosen, Plan, Sweep
from lstm_baseline.race.statistics import share_reached
from lstm_baseline.race.tuning import choose
from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED, RunSpec
from lstm_baseline.tasks import GeneratedTask, Task
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.metrics import Metric
from lstm_baseline.training import TrainingSettings

Runs = Sequence[tuple[RunSpec, RunResult]]

_CLEARLY = 2.0
"""Standard errors."""


class Spread(NamedTuple):
    """A mean over seeds and how far the seeds lie apart."""

    mean: float
    std: float | None
    """Sample standard deviation (n − 1); None for a single seed."""
    num_seeds: int


class Speed(NamedTuple):
    """How soon a contestant's runs reached the threshold."""

    steps: float
    """By which half of all seeds had got there; infinite when fewer ever did."""
    seconds: float
    """The same in seconds of training."""
    reached: int
    """Seeds that got there."""


class Trial(NamedTuple):
    """One tuning run."""

    spec: RunSpec
    result: RunResult

    @property
    def settings(self) -> TrainingSettings:
        """What it drew."""
        return self.spec.settings

    @property
    def score(self) -> float | None:
        """Best validation score; None when it failed."""
        return self.result.validation_score

    @property
    def reason(self) -> str:
        """Why it failed."""
        return self.result.reason

    @property
    def seconds(self) -> float:
        """Wall clock in training steps."""
        return self.result.seconds


@dataclass(frozen=True)
class SeedOutcome:
    """One run, held against the ladder."""

    spec: RunSpec
    result: RunResult
    normalised: float | None
    """None where there is no score, or nothing above the best heuristic."""
    value: float | None
    """What a verdict counts; None where nothing is above the best heuristic."""
    learned: bool
    steps: float | None
    """To the threshold; infinite if never reached, None where there is no threshold."""
    seconds: float | None
    """The same in seconds of training."""


@dataclass(frozen=True)
class ContestantOutcome:
    """A contestant on a task, over all seeds."""

    model: str
    """Its name."""
    width: int
    num_params: int
    state_size: int | None
    flops_per_step: int | None
    peak_memory: int | None
    """Bytes that training took at most, the median over runs."""
    settings: TrainingSettings
    """Of its final runs."""
    trials: tuple[Trial, ...]
    """By which these were chosen."""
    seeds: tuple[SeedOutcome, ...]

    @property
    def learned(self) -> bool:
        """Whether more than half of its runs learned."""
        return 2 * self.num_learned > len(self.seeds)

    @property
    def values(self) -> FloatArray:
        """What a verdict counts of each run, (seeds,); NaN where nothing can be."""
        return np.array([math.nan if s.value is None else s.value for s in self.seeds])

    @property
    def tuning_seconds(self) -> float:
        """Wall clock in training steps of all trials."""
        return math.fsum(trial.seconds for trial in self.trials)

    @property
    def scores(self) -> tuple[float | None, ...]:
        """Test score of each seed, None where it failed."""
        return tuple(seed.result.score for seed in self.seeds)

    @property
    def score(self) -> Spread | None:
        """Test scores of the runs that finished; None if none did."""
        return _spread(self.scores)

    @property
    def partial_scores(self) -> dict[str, Spread | None]:
        """Test scores on parts of the samples, of the runs that finished."""
        finished = [s.result.partial_scores for s in self.seeds if s.result.score is not None]
        names = list(finished[0]) if finished else []
        return {name: _spread(scores[name] for scores in finished) for name in names}

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
        return Speed(
            share_reached(np.array(steps)).median, share_reached(np.array(seconds)).median, reached
        )


@dataclass(frozen=True)
class TaskOutcome:
    """A task: its ladder and every contestant on it."""

    task: Task
    title: str
    """The task's name, with what sets it apart where the race has two of that name."""
    ladder: tuple[Rung, ...]
    """Worst first; scores are means over the seeds where they depend on the seed."""
    contestants: tuple[ContestantOutcome, ...]
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


class Point(NamedTuple):
    """A contestant at one value of a sweep."""

    scores: tuple[float | None, ...]
    """Test score of each seed, None where it failed."""
    normalised: tuple[float | None, ...]


@dataclass(frozen=True)
class SweepOutcome:
    """How scores change with difficulty."""

    sweep: Sweep
    title: str
    """Of the task that it varies."""
    ladders: tuple[tuple[Rung, ...], ...]
    """At each value, worst first."""
    points: Mapping[str, tuple[Point, ...]]
    """By the contestant's name, at each value."""
    runs: tuple[SeedOutcome, ...]
    """Its own, each held against the ladder of its value; none where it only tests."""

    @property
    def metric(self) -> Metric:
        """The task's metric."""
        return self.sweep.task.metric


def choose_settings(plan: Plan, trials: Runs) -> Chosen:
    """Return what each contestant's trials chose on each task; the plan's own without trials."""
    drawn = plan.tuning.settings(plan.settings)
    return {
        (place, name): choose(
            drawn,
            {
                spec.seed - FIRST_TRIAL_SEED: result.validation_score
                for spec, result in trials
                if spec.task is task and spec.model == name and result.validation_score is not None
            },
            plan.settings,
            higher_is_better=task.metric.higher_is_better,
        )
        for place, task in enumerate(plan.tasks)
        for name in plan.models
    }


def summarise(plan: Plan, finals: Runs, trials: Runs = ()) -> list[TaskOutcome]:
    """Hold every final run against its task's ladder.

    Parameters
    ----------
    plan
        The race.
    finals, trials
        Its runs and how they ended.

    Returns
    -------
    An outcome for each task of the plan, contestants and seeds in the plan's order.
    """
    outcomes = []
    for task, title in zip(plan.tasks, titles(plan.tasks), strict=True):
        of_task = [(spec, result) for spec, result in finals if spec.task is task]
        ladders = _ladders(task, {spec.seed for spec, _ in of_task})
        contestants = tuple(
            _contestant(
                [
                    _seed_outcome(spec, result, ladders[spec.seed])
                    for spec, result in of_task
                    if spec.model == model
                ],
                tuple(
                    Trial(spec, result)
                    for spec, result in trials
                    if spec.task is task and spec.model == model
                ),
            )
            for model in plan.models
        )
        ladder = tuple(_mean_ladder(list(ladders.values()), task.metric))
        outcomes.append(TaskOutcome(task, title, ladder, contestants))
    return outcomes


def summarise_sweep(plan: Plan, sweep: Sweep, finals: Runs, trained: Runs) -> SweepOutcome:
    """Gather a sweep's scores.

    Parameters
    ----------
    plan
        The race.
    sweep
        One of its sweeps.
    finals
        The race's final runs, which hold the scores of a sweep that only tests.
    trained
        The runs of a sweep that trains.
    """
    base = plan.tasks.index(sweep.task)
    ladders = tuple(tuple(task.ladder()) for task in sweep.tasks)
    scores: dict[str, list[list[float | None]]] = {
        name: [[] for _ in sweep.tasks] for name in plan.models
    }
    for spec, result in trained if sweep.train else finals:
        if sweep.train:
            scores[spec.model][sweep.tasks.index(spec.task)].append(result.score)
        elif spec.task is sweep.task and spec.seed < sweep.seeds:
            found = result.also_tested_scores or (None,) * len(spec.also_tested_on)
            elsewhere = dict(zip(map(id, spec.also_tested_on), found, strict=True))
            for place, task in enumerate(sweep.tasks):
                scores[spec.model][place].append(elsewhere[id(task)])
    metric = sweep.task.metric
    return SweepOutcome(
        sweep,
        titles(plan.tasks)[base],
        ladders,
        {
            name: tuple(
                Point(
                    tuple(at_value),
                    tuple(_normalise(score, ladder, metric) for score in at_value),
                )
                for at_value, ladder in zip(of_model, ladders, strict=True)
            )
            for name, of_model in scores.items()
        },
        tuple(
            _seed_outcome(spec, result, ladders[sweep.tasks.index(spec.task)])
            for spec, result in trained
        ),
    )


def is_better(score: float, other: float, metric: Metric) -> bool:
    """Return whether a score is strictly better than another."""
    return score > other if metric.higher_is_better else score < other


def _seed_outcome(spec: RunSpec, result: RunResult, ladder: Sequence[Rung]) -> SeedOutcome:
    metric, score = spec.task.metric, result.score
    normalised = _normalise(score, ladder, metric)
    floor = _normalise(ladder[0].score, ladder, metric) if ladder else None
    value = floor if normalised is None or floor is None else max(normalised, floor)
    steps, seconds = _first_reached(result, _threshold(ladder, metric), metric)
    return SeedOutcome(
        spec, result, normalised, value, _learned(result, ladder, metric), steps, seconds
    )


def _learned(result: RunResult, ladder: Sequence[Rung], metric: Metric) -> bool:
    if result.score is None or result.standard_error is None:
        return False
    margin = _CLEARLY * result.standard_error
    surely = result.score - margin if metric.higher_is_better else result.score + margin
    best = _best_heuristic(ladder, metric)
    to_beat = [result.untrained_score, None if best is None else best.score]
    return all(is_better(surely, other, metric) for other in to_beat if other is not None)


def _normalise(score: float | None, ladder: Sequence[Rung], metric: Metric) -> float | None:
    best, oracle = _best_heuristic(ladder, metric), _oracle(ladder, metric)
    ceiling = metric.perfect if oracle is None else oracle.score
    if score is None or best is None or not is_better(ceiling, best.score, metric):
        return None
    return (score - best.score) / (ceiling - best.score)


def _contestant(seeds: Sequence[SeedOutcome], trials: tuple[Trial, ...]) -> ContestantOutcome:
    spec, result = seeds[0].spec, seeds[0].result
    peaks = [s.result.peak_memory for s in seeds if s.result.peak_memory is not None]
    return ContestantOutcome(
        model=spec.model,
        width=spec.width,
        num_params=spec.contestant.count_params(spec.task, spec.width),
        state_size=result.state_size,
        flops_per_step=result.flops_per_step,
        peak_memory=round(statistics.median(peaks)) if peaks else None,
        settings=spec.settings,
        trials=trials,
        seeds=tuple(sorted(seeds, key=lambda seed: seed.spec.seed)),
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


def titles(tasks: Sequence[Task]) -> list[str]:
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
