"""Types for the outcome of a race, from the whole race down to a seed.

`scores.py` has the rules that turn numbers into scores; `verdict.py` decides who wins.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.race import scores
from lstm_baseline.race.plan import Plan, Sweep
from lstm_baseline.race.race_statistics import Interval, share, share_reached
from lstm_baseline.race.scores import Spread
from lstm_baseline.race.verdict import Condition, Evidence, OverTasks, TaskVerdict, Verdict
from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import Task
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.ladder import best_heuristic, best_oracle, normalise
from lstm_baseline.tasks.memoryless import memoryless_rungs
from lstm_baseline.tasks.metrics import Metric
from lstm_baseline.training import TrainingSettings

Runs = Sequence[tuple[RunSpec, RunResult]]

Barrier = Literal["neither learned", "no ceiling"]
"""Reason not to compare two contestants on a task. No ceiling: the best heuristic is perfect."""
Learned = Literal["both", "challenger", "baseline", "neither"]
"""Who learned a task."""


@dataclass(frozen=True)
class RaceOutcome:
    """Outcome of a race."""

    plan: Plan
    tasks: tuple["TaskOutcome", ...]
    """One for each task, followed by its further tests."""
    sweeps: tuple["SweepOutcome", ...]
    test_curves: tuple["SweepOutcome", ...]
    """Scores at the values of an argument that further tests vary, as if a sweep had only tested
    there."""
    duels: tuple["Duel", ...]
    """One for each challenger, in the plan's order."""
    overall: Mapping[str, Interval]
    """Mean of each contestant's values over the tasks with a ceiling, with an interval over whole
    seeds; empty with one seed."""

    @property
    def trained(self) -> tuple["TaskOutcome", ...]:
        """The tasks that models were trained on, without further tests."""
        return tuple(outcome for outcome in self.tasks if outcome.trained_on is None)

    def is_better(self, name: str, place: int) -> bool:
        """Return True if the rule found a contestant better on the task of a place.

        A challenger is then better than the baseline, and the baseline than every challenger.
        """
        is_baseline = name == self.plan.baseline
        wanted = "baseline better" if is_baseline else "challenger better"
        found = [
            duel.tasks[place].verdict
            for duel in self.duels
            if is_baseline or duel.challenger == name
        ]
        return bool(found) and all(verdict == wanted for verdict in found)


@dataclass(frozen=True, kw_only=True)
class Duel:
    """A challenger against the baseline."""

    challenger: str
    baseline: str
    tasks: tuple["Comparison", ...]
    """One for each task and each further test, in the order of ``RaceOutcome.tasks``."""
    overall: OverTasks | None
    """Difference over the tasks that are compared; None without any or with one seed."""
    verdict: Verdict
    """Verdict of the race."""

    @property
    def compared(self) -> tuple["Comparison", ...]:
        """Tasks that one of them learned at least."""
        return tuple(task for task in self.tasks if task.evidence is not None)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A challenger against the baseline on one task."""

    title: str
    """Title of the task."""
    evidence: Evidence | None = None
    """Evidence of the comparison; None if they are not compared."""
    barrier: Barrier | None = None
    """Reason why they are not compared."""
    learned: Learned = "both"
    """Who learned the task."""
    verdict: TaskVerdict = "undecided"
    num_steps: int
    """Budget of the final runs."""
    still_improved: bool
    """True if more than a quarter of the two contestants' runs still improved when they ended."""
    unmet: tuple[Condition, ...] = ()
    """Conditions that keep the one who is ahead from being better; none if one is."""


@dataclass(frozen=True)
class TaskOutcome:
    """A task: its ladder and every contestant on it."""

    task: Task
    title: str
    """The task's name, with the arguments that differ if the race has two tasks of that name."""
    ladder: tuple[Rung, ...]
    """Rungs, worst first; a score that depends on the seed is the mean over the seeds."""
    contestants: tuple["ContestantOutcome", ...]
    """One outcome for each contestant, in the plan's order."""
    trained_on: Task | None = None
    """The task whose models were tested here; None where they were trained on this one."""

    @property
    def metric(self) -> Metric:
        """The task's metric."""
        return self.task.metric

    @property
    def memoryless(self) -> tuple[Rung, ...]:
        """Models without memory that were fitted to it, worst first; they decide nothing."""
        return memoryless_rungs(self.task)

    @property
    def near_memoryless(self) -> tuple[str, ...]:
        """Contestants that learned and do hardly better than the best of these, if any."""
        if not self.memoryless:
            return ()
        reached = normalise(self.memoryless[-1].score, self.ladder, self.metric)
        return tuple(
            each.model
            for each in self.contestants
            if each.learned
            and each.normalised is not None
            and reached is not None
            and reached > each.normalised.mean - scores.NEAR
        )

    @property
    def best_heuristic(self) -> Rung | None:
        """The best rung that is not an oracle."""
        return best_heuristic(self.ladder, self.metric)

    @property
    def oracle(self) -> Rung | None:
        """The best oracle."""
        return best_oracle(self.ladder, self.metric)

    @property
    def threshold(self) -> float | None:
        """The score that speed of learning is measured by: the time until it is first reached."""
        return scores.threshold(self.ladder, self.metric)

    def of(self, name: str) -> "ContestantOutcome":
        """Return a contestant by its name."""
        return next(each for each in self.contestants if each.model == name)


@dataclass(frozen=True)
class SweepOutcome:
    """Scores at every value of a sweep: their change with difficulty."""

    sweep: Sweep
    title: str
    """Title of the task that it varies."""
    ladders: tuple[tuple[Rung, ...], ...]
    """Ladder at each value, worst rung first."""
    points: Mapping[str, tuple["Point", ...]]
    """Points of each contestant, one for each value."""
    runs: tuple["SeedOutcome", ...]
    """Its own runs, each judged by the ladder of its value; none for a sweep that only tests."""

    @property
    def metric(self) -> Metric:
        """The task's metric."""
        return self.sweep.task.metric


class Point(NamedTuple):
    """A contestant at one value of a sweep."""

    scores: tuple[float | None, ...]
    """Test score of each seed; None where the run failed."""
    normalised: tuple[float | None, ...]


@dataclass(frozen=True)
class ContestantOutcome:
    """A contestant on a task, over all seeds."""

    model: str
    """Its name."""
    width: int
    num_params: int
    num_fixed: int | None
    """Count of numbers that it holds and never trains."""
    state_size: int | None
    flops_per_step: int | None
    peak_memory: int | None
    """Peak memory of training in bytes, the median over runs."""
    settings: TrainingSettings
    """Settings of its final runs."""
    trials: tuple["Trial", ...]
    """Trials that chose these settings, or the finalists among them."""
    reruns: tuple["Trial", ...]
    """Runs of the finalists on fresh seeds, finalist by finalist, the best trial first."""
    seeds: tuple["SeedOutcome", ...]

    @property
    def learned(self) -> bool:
        """True if more than half of its runs learned."""
        return 2 * self.num_learned > len(self.seeds)

    @property
    def values(self) -> FloatArray:
        """Value of each run, which the verdict counts, (seeds,); NaN where there is none."""
        return np.array([math.nan if s.value is None else s.value for s in self.seeds])

    @property
    def tuning_seconds(self) -> float:
        """Wall-clock seconds that all trials and reruns spent in training steps."""
        return math.fsum(trial.seconds for trial in (*self.trials, *self.reruns))

    @property
    def scores(self) -> tuple[float | None, ...]:
        """Test score of each seed; None where the run failed."""
        return tuple(seed.result.score for seed in self.seeds)

    @property
    def score(self) -> Spread | None:
        """Test scores of the runs that finished; None if none did."""
        return scores.spread(self.scores)

    @property
    def partial_scores(self) -> dict[str, Spread | None]:
        """Test scores of the runs that finished, on parts of the samples."""
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
        """Wall-clock seconds that the runs that finished spent in training steps."""
        return scores.spread(s.result.seconds for s in self.seeds if s.result.score is not None)

    @property
    def num_learned(self) -> int:
        """Number of seeds that learned."""
        return sum(seed.learned for seed in self.seeds)

    def share_learned(self, level: float) -> Interval:
        """Return the share of seeds that learned, with its exact interval."""
        return share(self.num_learned, len(self.seeds), level)

    @property
    def num_still_improved(self) -> int:
        """Number of seeds that still improved when their steps ended."""
        return sum(seed.still_improved for seed in self.seeds)

    @property
    def uses_question(self) -> tuple[int, int] | None:
        """Number of runs that use the question, and of those that can tell; None if none can."""
        known = [seed.uses_question for seed in self.seeds if seed.uses_question is not None]
        return (sum(known), len(known)) if known else None

    @property
    def failures(self) -> tuple["SeedOutcome", ...]:
        """Runs that failed."""
        return tuple(seed for seed in self.seeds if seed.result.score is None)

    @property
    def speed(self) -> "Speed | None":
        """Speed of reaching the threshold; None where there is no threshold."""
        steps = [seed.steps for seed in self.seeds if seed.steps is not None]
        seconds = [seed.seconds for seed in self.seeds if seed.seconds is not None]
        if not steps:
            return None
        reached = sum(math.isfinite(step) for step in steps)
        return Speed(
            share_reached(np.array(steps)).median, share_reached(np.array(seconds)).median, reached
        )


class Speed(NamedTuple):
    """Speed with which a contestant's runs reached the threshold."""

    steps: float
    """Steps by which half of all seeds had reached it; infinite if fewer ever did."""
    seconds: float
    """Seconds of training by which half of all seeds had reached it; infinite if fewer did."""
    reached: int
    """Number of seeds that reached it."""


class Trial(NamedTuple):
    """One tuning run: a trial or a rerun."""

    spec: RunSpec
    result: RunResult

    @property
    def settings(self) -> TrainingSettings:
        """Training settings that it drew."""
        return self.spec.settings

    @property
    def score(self) -> float | None:
        """Best validation score; None if the trial failed."""
        return self.result.validation_score

    @property
    def reason(self) -> str:
        """Reason why it failed."""
        return self.result.reason

    @property
    def seconds(self) -> float:
        """Wall-clock seconds spent in training steps."""
        return self.result.seconds


@dataclass(frozen=True)
class SeedOutcome:
    """One run, judged by the ladder."""

    spec: RunSpec
    result: RunResult
    normalised: float | None
    """Normalised score; None without a score, or if no score is above the best heuristic."""
    value: float | None
    """Value that the verdict counts; None if no score is above the best heuristic."""
    learned: bool
    steps: float | None
    """Steps to the threshold; infinite if never reached, None where there is no threshold."""
    seconds: float | None
    """Seconds of training to the threshold; infinite and None as for ``steps``."""
    still_improved: bool
    """True if it still improved when its steps ended."""
    uses_question: bool | None
    """True if its answers depend on the question; None where that cannot be said."""
