"""The rule that decides who wins, fixed before the runs, and the evidence that it judges."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.race.race_statistics import (
    NUM_RESAMPLES,
    Bootstrap,
    Interval,
    holm,
    mean_interval,
    overall_difference,
    overall_probability,
    permutation_p_values,
    probability_better,
)

Verdict = Literal["challenger wins", "baseline wins", "inconclusive"]
Condition = Literal["direction", "significance", "margin", "probability", "probability interval"]

# Rounding may make a share or difference miss a threshold that it equals on paper.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All numbers on a difference between two contestants, on a task or over several.

    The rule decides by the fields that have no default. A further statistic needs a field with a
    default (None for evidence that lacks it) and a line in ``of``.
    """

    difference: Interval
    """Challenger − baseline: on a task of the means, over several of the interquartile means."""
    mean_difference: float
    """Mean difference over all pairs of runs; ``difference`` is another one over several tasks."""
    probability: Interval
    """Probability that the challenger is the better one of a pair; ties count half."""
    p_value: float
    adjusted_p_value: float
    """p-value after Holm's correction over the whole family."""

    @classmethod
    def of(
        cls,
        differences: FloatArray,
        *,
        difference: Interval,
        mean_difference: float,
        probability: Interval,
        p_value: float,
    ) -> Self:
        """Return the evidence of paired differences; its p-value is not adjusted yet.

        Parameters
        ----------
        differences
            The differences that are tested, (runs,): of each pair on a task, or each seed's mean
            difference over several tasks. Further statistics are computed from them.
        difference, mean_difference, probability, p_value
            The fields of these names.
        """
        return cls(
            difference=difference,
            mean_difference=float(mean_difference),
            probability=probability,
            p_value=float(p_value),
            adjusted_p_value=float(p_value),
        )


class VerdictRule(BaseModel):
    """Conditions under which a difference counts as a win.

    The challenger wins if all of these hold:

    - *direction*: over all tasks, it is ahead both in the mean and in the interquartile mean;
    - *significance*: the p-value of the permutation test, adjusted by Holm's method over all
      comparisons of its family, is at most ``level``;
    - *margin*: the (1 − level) interval of the difference lies above ``margin``;
    - *probability*: P(challenger better) is at least ``probability``;
    - *probability interval*: its (1 − level) interval lies above ½.

    The baseline wins if the same holds with the two exchanged. Everything else is inconclusive.

    On a task the difference is the mean over pairs of runs. Over all tasks it is the difference of
    the interquartile means, P(challenger better) is the mean over tasks, and the test is of each
    seed's mean difference over tasks. In that test a seed changes sides as a whole, because its
    runs may have much in common. It is a test of means, because interquartile means do not change
    when scores that are equal or extreme change sides.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Annotated[float, Field(ge=0.001, lt=0.5)] = 0.05
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.02
    """Largest difference that would not matter, in normalised score."""
    probability: Annotated[float, Field(ge=0.5, le=1)] = 0.75
    num_resamples: Annotated[int, Field(ge=100)] = NUM_RESAMPLES
    """Resamples of a bootstrap, and patterns drawn by a permutation test that cannot try all."""

    def unmet(self, evidence: Evidence) -> tuple[Condition, ...]:
        """Return the conditions that keep the one who is ahead from winning; none if they win."""
        # The contestant behind cannot win, so the rule is applied to the contestant ahead.
        lead, better = evidence.difference, evidence.probability
        if lead.estimate < 0:
            lead = Interval(-lead.estimate, -lead.high, -lead.low)
            better = Interval(1 - better.estimate, 1 - better.high, 1 - better.low)
        conditions: dict[Condition, bool] = {
            "direction": evidence.mean_difference * evidence.difference.estimate >= 0,
            "significance": evidence.adjusted_p_value <= self.level,
            "margin": lead.low > self.margin + _ROUNDING,
            "probability": better.estimate >= self.probability - _ROUNDING,
            "probability interval": better.low > 0.5 + _ROUNDING,
        }
        return tuple(condition for condition, met in conditions.items() if not met)

    def verdict(self, evidence: Evidence) -> Verdict:
        """Return the verdict: who wins, if anybody does."""
        if self.unmet(evidence):
            return "inconclusive"
        return "challenger wins" if evidence.difference.estimate >= 0 else "baseline wins"


class Pair(NamedTuple):
    """Values of two contestants, both (runs, tasks); run r of one pairs with run r."""

    challenger: FloatArray
    baseline: FloatArray


def compare_tasks(
    pairs: Sequence[Pair], rule: VerdictRule, rng: np.random.Generator
) -> list[list[Evidence]]:
    """Compare every challenger with the baseline on every task; all comparisons are one family.

    Parameters
    ----------
    pairs
        One for each challenger. They may differ in tasks and in runs. Tasks that leave out
        different runs can thus be given one by one.
    rule
        The verdict's rule; its level gives the confidence of the intervals.
    rng
        Generator that draws resamples.

    Returns
    -------
    The evidence of each task, for each of ``pairs``.

    Raises
    ------
    InputError
        If the arrays of a pair differ in shape, have fewer than 2 runs, or numbers that are not
        finite.
    """
    bootstrap = Bootstrap(1 - rule.level, rng, rule.num_resamples)
    found = []
    for challenger, baseline in pairs:
        if np.shape(challenger) != np.shape(baseline):
            raise InputError(
                f"challenger has shape {np.shape(challenger)} and baseline {np.shape(baseline)}; "
                "give the same pairs of runs on the same tasks"
            )
        differences = np.subtract(challenger, baseline, dtype=np.float64)
        p_values = permutation_p_values(differences, rng, num_resamples=rule.num_resamples)
        means = mean_interval(differences, bootstrap)
        shares = probability_better(differences, bootstrap)
        found.append(
            [
                Evidence.of(
                    of_task,
                    difference=mean,
                    mean_difference=mean.estimate,
                    probability=share,
                    p_value=p_value,
                )
                for of_task, mean, share, p_value in zip(
                    differences.T, means, shares, p_values, strict=True
                )
            ]
        )
    adjusted = iter(_adjust([evidence for of_pair in found for evidence in of_pair]))
    return [[next(adjusted) for _ in of_pair] for of_pair in found]


def compare_overall(
    pairs: Sequence[Pair], rule: VerdictRule, rng: np.random.Generator
) -> list[Evidence]:
    """Compare every challenger over all its tasks together; all challengers are one family.

    Parameters and errors are those of ``compare_tasks``.
    """
    bootstrap = Bootstrap(1 - rule.level, rng, rule.num_resamples)
    intervals = [
        (
            overall_difference(*pair, bootstrap),
            overall_probability(*pair, bootstrap),
        )
        for pair in pairs
    ]
    found = []
    for pair, (difference, probability) in zip(pairs, intervals, strict=True):
        of_seeds = _seeds_differences(pair)
        (p_value,) = permutation_p_values(of_seeds[:, None], rng, num_resamples=rule.num_resamples)
        found.append(
            Evidence.of(
                of_seeds,
                difference=difference,
                mean_difference=of_seeds.mean(),
                probability=probability,
                p_value=p_value,
            )
        )
    return _adjust(found)


def _seeds_differences(pair: Pair) -> FloatArray:
    """Return each seed's mean difference over tasks, (runs,)."""
    differences: FloatArray = np.subtract(pair.challenger, pair.baseline, dtype=np.float64)
    means: FloatArray = differences.mean(axis=1)
    return means


def _adjust(family: Sequence[Evidence]) -> list[Evidence]:
    """Return the evidence of a family with p-values adjusted by Holm's method."""
    adjusted = holm(np.array([evidence.p_value for evidence in family], dtype=np.float64))
    return [
        replace(evidence, adjusted_p_value=p_value)
        for evidence, p_value in zip(family, adjusted.tolist(), strict=True)
    ]
