"""Judging a race: compare every challenger with the baseline, task by task.

A task that neither learned is not compared: networks that are no better than a heuristic say
nothing about their architectures, whichever way they differ. A task that one of them learned is
compared, as values are at least those of chance (`scores.py` says when a run has learned, and what
counts).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.race.outcomes import (
    Barrier,
    Comparison,
    Duel,
    Learned,
    RaceOutcome,
    Runs,
    TaskOutcome,
)
from lstm_baseline.race.plan import Plan
from lstm_baseline.race.race_statistics import Interval, SignFlips
from lstm_baseline.race.summarise import further_test_curves, summarise, summarise_sweep
from lstm_baseline.race.verdict import Evidence, Pair, compare_tasks, over_tasks, race_verdict

# Seed of the sets that sign-flip tests draw: the same results give the same intervals.
_SEED = 20_180_605
_MANY = 0.25
"""Share of runs that still improved above which a verdict says that it is one of this budget."""


def judge(
    plan: Plan, *, finals: Runs, trials: Runs = (), reruns: Runs = (), trained: Sequence[Runs] = ()
) -> RaceOutcome:
    """Judge every run of a race by its ladder, and decide the race by the rule of its plan.

    Parameters
    ----------
    plan
        Plan of the race.
    finals, trials, reruns
        Its final runs, its trials, and the reruns of the best of these.
    trained
        The runs of each of its sweeps; none for a sweep that only tests.
    """
    tasks = tuple(summarise(plan, finals, trials, reruns))
    sweeps = tuple(
        summarise_sweep(plan, sweep, finals, runs)
        for sweep, runs in zip(plan.sweeps, trained, strict=True)
    )
    scores = {
        name: np.stack([task.of(name).values for task in tasks], axis=1) for name in plan.models
    }
    rng = np.random.default_rng(_SEED)
    duels = _duels(plan, tasks, scores, rng)
    overall = {} if plan.seeds == 1 else _overall(plan, scores, rng)
    curves = tuple(further_test_curves(plan, tasks))
    return RaceOutcome(plan, tasks, sweeps, curves, duels, overall)


def _overall(
    plan: Plan, scores: Mapping[str, FloatArray], rng: np.random.Generator
) -> dict[str, Interval]:
    """Return each contestant's mean over the tasks with a ceiling, with an interval over seeds."""
    judged = np.isfinite(scores[plan.baseline]).all(axis=0)
    if not judged.any():
        return {}
    flips = SignFlips(plan.seeds, rng, plan.rule.num_resamples)
    names = list(scores)
    of_seeds = np.stack([scores[name][:, judged].mean(axis=1) for name in names], axis=1)
    return dict(zip(names, flips.intervals(of_seeds, plan.rule.level), strict=True))


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
    duels = []
    for name in plan.challengers:
        found = dict(zip(compared[name], by_task.get(name, []), strict=True))
        comparisons = tuple(
            _comparison(plan, task, name, found.get(k), barriers[name][k])
            for k, task in enumerate(tasks)
        )
        duels.append(
            Duel(
                challenger=name,
                baseline=plan.baseline,
                tasks=comparisons,
                overall=over_tasks(pairs[name], plan.rule, rng) if name in pairs else None,
                # What neither learned is as undecided as anything.
                verdict=race_verdict([c.verdict for c in comparisons if c.barrier != "no ceiling"]),
            )
        )
    return tuple(duels)


def _comparison(
    plan: Plan, task: TaskOutcome, name: str, evidence: Evidence | None, barrier: Barrier | None
) -> Comparison:
    pair = task.of(name), task.of(plan.baseline)
    improved = sum(each.num_still_improved for each in pair)
    found = Comparison(
        title=task.title,
        barrier=barrier,
        learned=_learned(task, name, plan.baseline),
        num_steps=max(each.settings.num_steps for each in pair),
        still_improved=improved > _MANY * sum(len(each.seeds) for each in pair),
    )
    if evidence is None:
        return found
    return replace(
        found,
        evidence=evidence,
        verdict=plan.rule.verdict(evidence),
        unmet=plan.rule.unmet(evidence),
    )


def _learned(task: TaskOutcome, challenger: str, baseline: str) -> Learned:
    one, other = task.of(challenger).learned, task.of(baseline).learned
    if one and other:
        return "both"
    return "challenger" if one else "baseline" if other else "neither"


def _barrier(task: TaskOutcome, challenger: str, baseline: str) -> Barrier | None:
    if _learned(task, challenger, baseline) == "neither":
        return "neither learned"
    values = [*task.of(challenger).values, *task.of(baseline).values]
    return None if np.isfinite(values).all() else "no ceiling"
