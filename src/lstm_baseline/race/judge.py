"""Who won: every challenger held against the baseline, task by task and over all.

No comparison is drawn from a contestant that did not learn: a network that is no better than a
heuristic says nothing about its architecture, whichever way it differs from another one.

- On a task both have to have learned it (`scores.py` says when).
- Over all tasks the scores of those that both learned are compared. Whoever failed to learn a task
  that the other one learned cannot win.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.race.outcomes import Barrier, Comparison, Duel, RaceOutcome, Runs, TaskOutcome
from lstm_baseline.race.plan import Plan
from lstm_baseline.race.race_statistics import Bootstrap, interquartile_mean, overall_interval
from lstm_baseline.race.summarise import summarise, summarise_sweep
from lstm_baseline.race.verdict import (
    Evidence,
    Pair,
    Verdict,
    VerdictRule,
    compare_overall,
    compare_tasks,
)

# Draws resamples and permutations: the same results give the same intervals.
_SEED = 20_180_605

ALL_TASKS = "all tasks"
"""What a comparison over all tasks is called."""


def judge(
    plan: Plan, *, finals: Runs, trials: Runs = (), trained: Sequence[Runs] = ()
) -> RaceOutcome:
    """Hold every run of a race against its ladder, and decide the race by the rule of its plan.

    Parameters
    ----------
    plan
        The race.
    finals, trials
        Its final runs and its tuning runs.
    trained
        The runs of each of its sweeps; none of a sweep that only tests.
    """
    tasks = tuple(summarise(plan, finals, trials))
    sweeps = tuple(
        summarise_sweep(plan, sweep, finals, runs)
        for sweep, runs in zip(plan.sweeps, trained, strict=True)
    )
    scores = {
        name: np.stack([task.of(name).values for task in tasks], axis=1) for name in plan.models
    }
    rng = np.random.default_rng(_SEED)
    duels = _duels(plan, tasks, scores, rng)
    judged = [k for k in range(len(tasks)) if np.isfinite(scores[plan.baseline][:, k]).all()]
    overall = {
        name: overall_interval(of_name[:, judged], Bootstrap(1 - plan.rule.level, rng))
        for name, of_name in scores.items()
        if judged and plan.seeds > 1
    }
    return RaceOutcome(plan, tasks, sweeps, duels, overall)


def _duels(
    plan: Plan,
    tasks: Sequence[TaskOutcome],
    scores: Mapping[str, FloatArray],
    rng: np.random.Generator,
) -> tuple[Duel, ...]:
    barriers = {
        name: [_barrier(task, name, plan.baseline) for task in tasks] for name in plan.challengers
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
    by_task = dict(zip(pairs, compare_tasks(list(pairs.values()), plan.rule, rng), strict=True))
    overall = dict(zip(pairs, compare_overall(list(pairs.values()), plan.rule, rng), strict=True))
    duels = []
    for name in plan.challengers:
        found = dict(zip(compared[name], by_task.get(name, []), strict=True))
        comparisons = tuple(
            _comparison(task.title, plan.rule, found.get(k), barriers[name][k])
            for k, task in enumerate(tasks)
        )
        whole = _comparison(ALL_TASKS, plan.rule, overall[name]) if name in overall else None
        duels.append(_duel(name, plan.baseline, comparisons, whole, pairs.get(name)))
    return tuple(duels)


def _comparison(
    title: str, rule: VerdictRule, evidence: Evidence | None, barrier: Barrier | None = None
) -> Comparison:
    if evidence is None:
        return Comparison(title=title, barrier=barrier)
    return Comparison(
        title=title,
        evidence=evidence,
        verdict=rule.verdict(evidence),
        unmet=rule.unmet(evidence),
    )


def _duel(
    challenger: str,
    baseline: str,
    tasks: tuple[Comparison, ...],
    overall: Comparison | None,
    pair: Pair | None,
) -> Duel:
    verdict: Verdict = "inconclusive" if overall is None else overall.verdict
    missed = {
        "challenger wins": "only the baseline learned",
        "baseline wins": "only the challenger learned",
    }.get(verdict)
    disqualified = tuple(task.title for task in tasks if missed and task.barrier == missed)
    return Duel(
        challenger=challenger,
        baseline=baseline,
        tasks=tasks,
        overall=overall,
        challenger_score=None if pair is None else _middle(pair.challenger),
        baseline_score=None if pair is None else _middle(pair.baseline),
        verdict="inconclusive" if disqualified else verdict,
        disqualified=disqualified,
    )


def _middle(scores: FloatArray) -> float:
    return float(interquartile_mean(scores))


def _barrier(task: TaskOutcome, challenger: str, baseline: str) -> Barrier | None:
    one, other = task.of(challenger), task.of(baseline)
    if one.learned and other.learned:
        return None if np.isfinite([*one.values, *other.values]).all() else "no ceiling"
    if one.learned:
        return "only the challenger learned"
    return "only the baseline learned" if other.learned else "neither learned"
