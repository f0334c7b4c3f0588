"""The rule that decides, fixed before the runs, and the evidence that it judges.

Everything is decided task by task. What is said over all tasks is the count of what was decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.race.race_statistics import (
    NUM_RESAMPLES,
    Interval,
    SignFlips,
    holm,
    probability_better,
    seeds_needed,
)

TaskVerdict = Literal["challenger better", "baseline better", "equivalent", "undecided"]
Verdict = Literal[
    "challenger wins",
    "challenger ahead",
    "equivalent",
    "mixed",
    "open",
    "baseline ahead",
    "baseline wins",
]
Condition = Literal["significance", "margin"]

# Rounding may make a difference miss a threshold that it equals on paper.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All numbers on the difference between two contestants on a task."""

    difference: Interval
    """Challenger − baseline, the mean over pairs of runs."""
    probability: Interval
    """Probability that the challenger is the better one of a pair; ties count half."""
    p_value: float
    """Of the sign-flip test that the mean difference is 0."""
    adjusted_p_value: float
    """``p_value`` after Holm's correction over the whole family."""
    equivalence_p_value: float
    """Of the two one-sided tests that the mean difference is not within the margin."""
    adjusted_equivalence_p_value: float
    """``equivalence_p_value`` after Holm's correction over the whole family."""
    seeds_needed: int | None
    """Estimate of the seeds that would probably decide; None if the mean is just the margin."""


class OverTasks(NamedTuple):
    """The difference over all tasks that are compared. It describes; nothing is decided by it."""

    mean: Interval
    """Mean over tasks, each of which counts the same, with an interval over whole seeds."""
    without: tuple[float, ...]
    """The same mean without each of the tasks; empty if there is one task."""


class VerdictRule(BaseModel):
    """What is decided on a task, and over all tasks.

    On a task, where d is the mean difference over pairs of runs in normalised score:

    - *better*: the p-value of the sign-flip test, adjusted by Holm's method over all tasks and
      challengers, is at most ``level``, and the (1 − level) interval of d lies beyond ``margin`` on
      the side of the one who is better;
    - *equivalent*: the p-value of the two one-sided tests at ±``margin``, adjusted in the same way
      among themselves, is at most ``level``; the interval then lies within ±margin;
    - *undecided*: neither.

    Over all tasks, of which those that neither learned are undecided, the challenger

    - *wins* if it is better on every task that is not equivalent, and on one at least;
    - is *ahead* if it is better on some and worse on none, and others are undecided.

    The baseline wins, or is ahead, if the same holds with the two exchanged. The race is *mixed* if
    each is better somewhere, *equivalent* if all tasks are, and *open* otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Annotated[float, Field(ge=0.001, lt=0.5)] = 0.05
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.02
    """Largest difference that would not matter, in normalised score."""
    num_resamples: Annotated[int, Field(ge=100)] = NUM_RESAMPLES
    """Sets of runs drawn by a sign-flip test that cannot try all."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_probability(cls, given: Any) -> Any:
        if isinstance(given, dict) and "probability" in given:
            raise ValueError("probability is no longer part of the rule; leave it out")
        return given

    def unmet(self, evidence: Evidence) -> tuple[Condition, ...]:
        """Return the conditions that keep the one who is ahead from being better."""
        difference = evidence.difference
        nearest = difference.low if difference.estimate >= 0 else -difference.high
        conditions: dict[Condition, bool] = {
            "significance": evidence.adjusted_p_value <= self.level,
            "margin": nearest > self.margin + _ROUNDING,
        }
        return tuple(condition for condition, met in conditions.items() if not met)

    def verdict(self, evidence: Evidence) -> TaskVerdict:
        """Return the verdict on a task."""
        if not self.unmet(evidence):
            return "challenger better" if evidence.difference.estimate >= 0 else "baseline better"
        if evidence.adjusted_equivalence_p_value <= self.level:
            return "equivalent"
        return "undecided"


class Pair(NamedTuple):
    """Values of two contestants, both (runs, tasks); run r of one pairs with run r."""

    challenger: FloatArray
    baseline: FloatArray

    def differences(self) -> FloatArray:
        """Return challenger − baseline, (runs, tasks).

        Raises
        ------
        InputError
            If the two differ in shape, or have fewer than 2 runs.
        """
        one, other = np.shape(self.challenger), np.shape(self.baseline)
        if one != other or len(one) != 2:
            raise InputError(
                f"challenger has shape {one} and baseline {other}; "
                "give the same pairs of runs on the same tasks, (runs, tasks)"
            )
        if one[0] < 2:
            raise InputError(f"there is {one[0]} pair of runs; give at least 2 runs")
        differences: FloatArray = np.subtract(self.challenger, self.baseline, dtype=np.float64)
        return differences


def compare_tasks(
    pairs: Sequence[Pair], rule: VerdictRule, rng: np.random.Generator
) -> list[list[Evidence]]:
    """Compare every challenger with the baseline on every task; all comparisons are one family.

    Parameters
    ----------
    pairs
        One for each challenger. They may differ in tasks and in runs.
    rule
        The verdict's rule; its level gives the confidence of the intervals.
    rng
        Generator that draws sets of runs.

    Returns
    -------
    The evidence of each task, for each of ``pairs``.

    Raises
    ------
    InputError
        If the arrays of a pair differ in shape, have fewer than 2 runs, or numbers that are not
        finite.
    """
    family_size = max(1, sum(np.shape(pair.challenger)[1] for pair in pairs))
    found = []
    for pair in pairs:
        differences = pair.differences()
        flips = SignFlips(len(differences), rng, rule.num_resamples)
        found.append(
            [
                Evidence(
                    difference=mean,
                    probability=share,
                    p_value=p_value,
                    adjusted_p_value=p_value,
                    equivalence_p_value=equivalence,
                    adjusted_equivalence_p_value=equivalence,
                    seeds_needed=seeds_needed(of_task, rule.margin, rule.level / family_size),
                )
                for of_task, mean, share, p_value, equivalence in zip(
                    differences.T,
                    flips.intervals(differences, rule.level),
                    probability_better(differences, rule.level),
                    flips.p_values(differences).tolist(),
                    flips.equivalence_p_values(differences, rule.margin).tolist(),
                    strict=True,
                )
            ]
        )
    adjusted = iter(_adjusted([evidence for of_pair in found for evidence in of_pair]))
    return [[next(adjusted) for _ in of_pair] for of_pair in found]


def over_tasks(pair: Pair, rule: VerdictRule, rng: np.random.Generator) -> OverTasks:
    """Return the mean difference over tasks, with an interval over seeds, and without each task.

    A seed counts as a whole, as its runs may have much in common. Parameters and errors are those
    of ``compare_tasks``.
    """
    differences = pair.differences()
    flips = SignFlips(len(differences), rng, rule.num_resamples)
    (mean,) = flips.intervals(differences.mean(axis=1, keepdims=True), rule.level)
    of_tasks = differences.mean(axis=0)
    others = len(of_tasks) - 1
    without = (of_tasks.sum() - of_tasks) / others if others else np.empty(0)
    return OverTasks(mean, tuple(without.tolist()))


def race_verdict(verdicts: Sequence[TaskVerdict]) -> Verdict:
    """Return the verdict over all tasks, from theirs; see ``VerdictRule``."""
    kinds = set(verdicts)
    better, worse = "challenger better" in kinds, "baseline better" in kinds
    if better and worse:
        return "mixed"
    if better:
        return "challenger ahead" if "undecided" in kinds else "challenger wins"
    if worse:
        return "baseline ahead" if "undecided" in kinds else "baseline wins"
    return "equivalent" if kinds == {"equivalent"} else "open"


def _adjusted(family: Sequence[Evidence]) -> list[Evidence]:
    """Return the evidence of a family with p-values adjusted by Holm's method."""
    p_values, equivalences = (
        holm(np.array([getattr(evidence, name) for evidence in family], dtype=np.float64)).tolist()
        for name in ("p_value", "equivalence_p_value")
    )
    return [
        replace(evidence, adjusted_p_value=p_value, adjusted_equivalence_p_value=equivalence)
        for evidence, p_value, equivalence in zip(family, p_values, equivalences, strict=True)
    ]
