"""The verdict as data: winner, evidence, rule, and the scores behind them.

`docs/races.md` explains each key.
"""

import math
from dataclasses import fields

from lstm_baseline.race.outcomes import (
    Comparison,
    ContestantOutcome,
    Duel,
    RaceOutcome,
    SeedOutcome,
    TaskOutcome,
)
from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.report import words
from lstm_baseline.race.scores import Spread
from lstm_baseline.race.verdict import Evidence, OverTasks
from lstm_baseline.tasks.base import Rung

FORMAT = 2
"""Version of the format: raised if a key is removed or changes its meaning, not for a new key."""

Data = dict[str, object]


def verdict_as_data(race: RaceOutcome) -> Data:
    """Return the verdict of a race as plain JSON values; numbers that are not finite are None."""
    plan = race.plan
    found: Data = {
        "format": FORMAT,
        "title": plan.title,
        "plan": plan.hash,
        "rule": plan.rule.model_dump(),
        "contestants": list(plan.models),
        "baseline": plan.baseline,
        "seeds": plan.seeds,
        "duels": [_duel(race, duel) for duel in race.duels],
        "overall": {name: _numbers(score) for name, score in race.overall.items()},
        "tasks": [_task(task, plan.rule.level) for task in race.tasks],
    }
    return {key: _finite(value) for key, value in found.items()}


def _duel(race: RaceOutcome, duel: Duel) -> Data:
    return {
        "challenger": duel.challenger,
        "baseline": duel.baseline,
        "verdict": duel.verdict,
        "sentence": words.verdict(race.plan, duel),
        "over_tasks": _over_tasks(duel.overall),
        "tasks": [_comparison(task) for task in duel.tasks],
    }


def _over_tasks(found: OverTasks | None) -> Data | None:
    if found is None:
        return None
    return {"mean": found.mean._asdict(), "without": list(found.without)}


def _comparison(comparison: Comparison) -> Data:
    return {
        "title": comparison.title,
        "verdict": comparison.verdict,
        "barrier": comparison.barrier,
        "learned": comparison.learned,
        "num_steps": comparison.num_steps,
        "still_improved": comparison.still_improved,
        "unmet": list(comparison.unmet),
        "evidence": None if comparison.evidence is None else _evidence(comparison.evidence),
    }


def _evidence(evidence: Evidence) -> Data:
    """Return every field, so that a new statistic appears without being named here."""
    values = {field.name: getattr(evidence, field.name) for field in fields(evidence)}
    return {
        name: value._asdict() if isinstance(value, Interval) else value
        for name, value in values.items()
    }


def _task(task: TaskOutcome, level: float) -> Data:
    return {
        "title": task.title,
        "task": task.task.config(),
        **({} if task.trained_on is None else {"trained_on": task.trained_on.config()}),
        "metric": task.metric.name,
        "higher_is_better": task.metric.higher_is_better,
        "best_heuristic": _rung(task.best_heuristic),
        "oracle": _rung(task.oracle),
        "contestants": [_contestant(contestant, level) for contestant in task.contestants],
    }


def _contestant(contestant: ContestantOutcome, level: float) -> Data:
    return {
        "name": contestant.model,
        "parameters": contestant.num_params,
        "learned": contestant.learned,
        "share_learned": _numbers(contestant.share_learned(level)),
        "score": _numbers(contestant.score),
        "normalised": _numbers(contestant.normalised),
        "runs": [_run(seed) for seed in contestant.seeds],
    }


def _run(seed: SeedOutcome) -> Data:
    return {
        "seed": seed.spec.seed,
        "score": seed.result.score,
        "normalised": seed.normalised,
        "value": seed.value,
        "learned": seed.learned,
        "still_improved": seed.still_improved,
        "uses_question": seed.uses_question,
    }


def _rung(rung: Rung | None) -> Data | None:
    return None if rung is None else {"name": rung.name, "score": rung.score}


def _numbers(values: Interval | Spread | None) -> Data | None:
    return None if values is None else values._asdict()


def _finite(value: object) -> object:
    """Return a value with every number that is not finite replaced by None."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
