"""Who won: every challenger held against the baseline, task by task and over all.

No comparison is drawn from a contestant that did not learn: a network that is no better than a
heuristic says nothing about its architecture, whichever way it differs from another one.

- On a task both have to have learned it (`results.py` says when).
- Over all tasks the scores of those that both learned are compared. Whoever failed to learn a task
  that the other one learned cannot win.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.race.plan import Plan
from lstm_baseline.race.results import ContestantOutcome, SweepOutcome, TaskOutcome
from lstm_baseline.race.statistics import Interval, interquartile_mean, overall_interval
from lstm_baseline.race.verdict import (
    Comparison,
    Outcome,
    Pair,
    compare_overall,
    compare_tasks,
)

# Draws resamples and permutations: the same results give the same intervals.
_SEED = 20_180_605

Barrier = Literal[
    "neither learned", "only the challenger learned", "only the baseline learned", "no ceiling"
]
"""Why two contestants are not compared on a task. No ceiling: the best heuristic is perfect."""


@dataclass(frozen=True)
class TaskVerdict:
    """A challenger against the baseline on one task."""

    title: str
    comparison: Comparison | None
    """None if they are not compared."""
    barrier: Barrier | None
    """Why they are not."""


@dataclass(frozen=True)
class Duel:
    """A challenger against the baseline."""

    challenger: str
    baseline: str
    tasks: tuple[TaskVerdict, ...]
    """In the plan's order."""
    overall: Comparison | None
    """Over the tasks that both learned; None if there are none, or only one seed."""
    challenger_score: float | None
    """Interquartile mean of normalised scores over these tasks."""
    baseline_score: float | None
    outcome: Outcome
    """Of the race: the overall one, unless the winner failed where the other one learned."""
    disqualified: tuple[str, ...]
    """Tasks that the one who would have won did not learn, but the other one did."""

    @property
    def compared(self) -> tuple[TaskVerdict, ...]:
        """Tasks that both learned."""
        return tuple(task for task in self.tasks if task.comparison is not None)


@dataclass(frozen=True)
class Judgement:
    """The outcome of a race."""

    duels: tuple[Duel, ...]
    """One a challenger, in the plan's order."""
    overall: dict[str, Interval]
    """Interquartile mean of each contestant's normalised scores over all tasks and seeds."""


def judge(plan: Plan, outcomes: Sequence[TaskOutcome]) -> Judgement:
    """Decide a race by the rule of its plan.

    Parameters
    ----------
    plan
        The race.
    outcomes
        From ``summarise``.
    """
    scores = {
        name: np.stack([_of(outcome, name).values for outcome in outcomes], axis=1)
        for name in plan.models
    }
    judged = [k for k in range(len(outcomes)) if np.isfinite(scores[plan.baseline][:, k]).all()]
    barriers = {
        name: [_barrier(outcome, name, plan.baseline) for outcome in outcomes]
        for name in plan.challengers
    }
    compared = {
        name: [k for k, barrier in enumerate(of_name) if barrier is None and plan.seeds > 1]
        for name, of_name in barriers.items()
    }
    pairs = {
        name: Pair(scores[name][:, places], scores[plan.baseline][:, places])
        for name, places in compared.items()
        if places
    }
    rng = np.random.default_rng(_SEED)
    by_task = dict(zip(pairs, compare_tasks(list(pairs.values()), plan.rule, rng), strict=True))
    overall = dict(zip(pairs, compare_overall(list(pairs.values()), plan.rule, rng), strict=True))
    duels = []
    for name in plan.challengers:
        found = dict(zip(compared[name], by_task.get(name, []), strict=True))
        verdicts = tuple(
            TaskVerdict(outcome.title, found.get(k), barriers[name][k])
            for k, outcome in enumerate(outcomes)
        )
        duels.append(_duel(name, plan.baseline, verdicts, overall.get(name), pairs.get(name)))
    confidence = 1 - plan.rule.level
    return Judgement(
        tuple(duels),
        {
            name: overall_interval(of_name[:, judged], confidence, rng)
            for name, of_name in scores.items()
            if judged and plan.seeds > 1
        },
    )


def _duel(
    challenger: str,
    baseline: str,
    tasks: tuple[TaskVerdict, ...],
    overall: Comparison | None,
    pair: Pair | None,
) -> Duel:
    outcome: Outcome = "inconclusive" if overall is None else overall.outcome
    missed = {
        "challenger wins": "only the baseline learned",
        "baseline wins": "only the challenger learned",
    }.get(outcome)
    disqualified = tuple(task.title for task in tasks if missed and task.barrier == missed)
    return Duel(
        challenger=challenger,
        baseline=baseline,
        tasks=tasks,
        overall=overall,
        challenger_score=None if pair is None else _middle(pair.challenger),
        baseline_score=None if pair is None else _middle(pair.baseline),
        outcome="inconclusive" if disqualified else outcome,
        disqualified=disqualified,
    )


def _middle(scores: FloatArray) -> float:
    return float(interquartile_mean(scores))


def _barrier(outcome: TaskOutcome, challenger: str, baseline: str) -> Barrier | None:
    one, other = _of(outcome, challenger), _of(outcome, baseline)
    if one.learned and other.learned:
        return None if np.isfinite([*one.values, *other.values]).all() else "no ceiling"
    if one.learned:
        return "only the challenger learned"
    return "only the baseline learned" if other.learned else "neither learned"


def _of(outcome: TaskOutcome, name: str) -> ContestantOutcome:
    return next(c for c in outcome.contestants if c.model == name)


@dataclass(frozen=True)
class RaceOutcome:
    """All that came out of a race."""

    plan: Plan
    tasks: tuple[TaskOutcome, ...]
    sweeps: tuple[SweepOutcome, ...]
    judgement: Judgement
