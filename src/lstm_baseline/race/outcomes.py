"""What came out of a race, as types, from the whole race down to a seed.

Rules that turn numbers into scores are in `scores.py`; who wins is decided in `verdict.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.race import scores
from lstm_baseline.race.plan import Plan, Sweep
from lstm_baseline.race.race_statistics import Interval, share_reached
from lstm_baseline.race.scores import Spread
from lstm_baseline.race.verdict import Condition, Evidence, Verdict
from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import Task
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.metrics import Metric
from lstm_baseline.training import TrainingSettings

Runs = Sequence[tuple[RunSpec, RunResult]]

Barrier = Literal[
    "neither learned", "only the challenger learned", "only the baseline learned", "no ceiling"
]
"""Why two contestants are not compared on a task. No ceiling: the best heuristic is perfect."""


@dataclass(frozen=True)
class RaceOutcome:
    """All that came out of a race."""

    plan: Plan
    tasks: tuple["TaskOutcome", ...]
    sweeps: tuple["SweepOutcome", ...]
    duels: tuple["Duel", ...]
    """One a challenger, in the plan's order."""
    overall: Mapping[str, Interval]
    """Interquartile mean of each contestant's normalised scores over all tasks and seeds."""


@dataclass(frozen=True, kw_only=True)
class Duel:
    """A challenger against the baseline."""

    challenger: str
    baseline: str
    tasks: tuple["Comparison", ...]
    """One a task, in the plan's order."""
    overall: "Comparison | None"
    """Over the tasks that both learned; None if there are none, or only one seed."""
    challenger_score: float | None
    """Interquartile mean of normalised scores over these tasks."""
    baseline_score: float | None
    verdict: Verdict
    """Of the race: the overall one, unless the winner failed where the other one learned."""
    disqualified: tuple[str, ...]
    """Tasks that the one who would have won did not learn, but the other one did."""

    @property
    def compared(self) -> tuple["Comparison", ...]:
        """Tasks that both learned."""
        return tuple(task for task in self.tasks if task.evidence is not None)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A challenger against the baseline on one task, or on all that both learned."""

    title: str
    """What the task is called."""
    evidence: Evidence | None = None
    """None if they are not compared."""
    barrier: Barrier | None = None
    """Why they are not."""
    verdict: Verdict = "inconclusive"
    unmet: tuple[Condition, ...] = ()
    """Conditions that keep whoever is ahead from winning; none if one has won."""


@dataclass(frozen=True)
class TaskOutcome:
    """A task: its ladder and every contestant on it."""

    task: Task
    title: str
    """The task's name, with what sets it apart where the race has two of that name."""
    ladder: tuple[Rung, ...]
    """Worst first; scores are means over the seeds where they depend on the seed."""
    contestants: tuple["ContestantOutcome", ...]
    """In the plan's order."""

    @property
    def metric(self) -> Metric:
        """The task's metric."""
        return self.task.metric

    @property
    def best_heuristic(self) -> Rung | None:
        """The best rung that is not an oracle."""
        return scores.best_heuristic(self.ladder, self.metric)

    @property
    def oracle(self) -> Rung | None:
        """The best oracle."""
        return scores.best_oracle(self.ladder, self.metric)

    @property
    def threshold(self) -> float | None:
        """The score whose first reaching is timed."""
        return scores.threshold(self.ladder, self.metric)

    def of(self, name: str) -> "ContestantOutcome":
        """Return a contestant by its name."""
        return next(each for each in self.contestants if each.model == name)


@dataclass(frozen=True)
class SweepOutcome:
    """How scores change with difficulty."""

    sweep: Sweep
    title: str
    """What the task that it varies is called."""
    ladders: tuple[tuple[Rung, ...], ...]
    """At each value, worst first."""
    points: Mapping[str, tuple["Point", ...]]
    """By the contestant's name, at each value."""
    runs: tuple["SeedOutcome", ...]
    """Runs of its own, each held against the ladder of its value; none where it only tests."""

    @property
    def metric(self) -> Metric:
        """The task's metric."""
        return self.sweep.task.metric


class Point(NamedTuple):
    """A contestant at one value of a sweep."""

    scores: tuple[float | None, ...]
    """Test score of each seed, None where it failed."""
    normalised: tuple[float | None, ...]


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
    """Settings of its final runs."""
    trials: tuple["Trial", ...]
    """Tuning runs by which these were chosen."""
    seeds: tuple["SeedOutcome", ...]

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
        return scores.spread(self.scores)

    @property
    def partial_scores(self) -> dict[str, Spread | None]:
        """Test scores on parts of the samples, of the runs that finished."""
        finished = [s.result.partial_scores for s in self.seeds if s.result.score is not None]
        names = list(finished[0]) if finished else []
        return {name: scores.spread(parts[name] for parts in finished) for name in names}

    @property
    def untrained(self) -> Spread | None:
        """Test scores of the same networks before training."""
        return scores.spread(seed.result.untrained_score for seed in self.seeds)

    @property
    def normalised(self) -> Spread | None:
        """Normalised test scores of the runs that finished."""
        return scores.spread(seed.normalised for seed in self.seeds)

    @property
    def training_seconds(self) -> Spread | None:
        """Wall clock in training steps of the runs that finished."""
        return scores.spread(s.result.seconds for s in self.seeds if s.result.score is not None)

    @property
    def num_learned(self) -> int:
        """Seeds that learned."""
        return sum(seed.learned for seed in self.seeds)

    @property
    def failures(self) -> tuple["SeedOutcome", ...]:
        """Runs that failed."""
        return tuple(seed for seed in self.seeds if seed.result.score is None)

    @property
    def speed(self) -> "Speed | None":
        """How soon the threshold was reached; None where there is no threshold."""
        steps = [seed.steps for seed in self.seeds if seed.steps is not None]
        seconds = [seed.seconds for seed in self.seeds if seed.seconds is not None]
        if not steps:
            return None
        reached = sum(math.isfinite(step) for step in steps)
        return Speed(
            share_reached(np.array(steps)).median, share_reached(np.array(seconds)).median, reached
        )


class Speed(NamedTuple):
    """How soon a contestant's runs reached the threshold."""

    steps: float
    """Steps by which half of all seeds had got there; infinite when fewer ever did."""
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
    """What a verdict counts of it; None where nothing is above the best heuristic."""
    learned: bool
    steps: float | None
    """Steps to the threshold; infinite if never reached, None where there is no threshold."""
    seconds: float | None
    """The same in seconds of training."""
