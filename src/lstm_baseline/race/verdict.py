"""Who wins: the rule that decides, fixed before the runs, and what it finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.race.statistics import (
    NUM_RESAMPLES,
    Interval,
    holm,
    mean_interval,
    overall_difference,
    overall_probability,
    permutation_p_values,
    probability_better,
)

Outcome = Literal["challenger wins", "baseline wins", "inconclusive"]
Condition = Literal["direction", "significance", "margin", "probability", "probability interval"]

# A share or a difference that equals its threshold on paper may miss it by rounding.
_ROUNDING = 1e-9


class VerdictRule(BaseModel):
    """When a difference counts as a win.

    The challenger wins if all of these hold:

    - *direction*: over all tasks, it is ahead in the mean as well as in the interquartile mean;
    - *significance*: the p-value of the permutation test, adjusted by Holm's method over all
      comparisons of its family, is at most ``level``;
    - *margin*: the (1 − level) interval of the difference lies above ``margin``;
    - *probability*: P(challenger better) is at least ``probability``;
    - *probability interval*: its (1 − level) interval lies above ½.

    The baseline wins if the same holds with the two exchanged. Everything else is inconclusive.

    On a task the difference is the mean over pairs of runs. Over all tasks it is that of the
    interquartile means, P(challenger better) is the mean over tasks, and the test is that of each
    seed's mean difference over tasks. A seed changes sides as a whole, as its runs may have much in
    common; and it is a test of means, as interquartile means stay what they are when scores that
    are equal or extreme change sides.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Annotated[float, Field(ge=0.001, lt=0.5)] = 0.05
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.02
    """The largest difference that would not matter, in normalised score."""
    probability: Annotated[float, Field(ge=0.5, le=1)] = 0.75
    num_resamples: Annotated[int, Field(ge=100)] = NUM_RESAMPLES
    """Of every bootstrap, and of a permutation test that cannot try all patterns."""


class Pair(NamedTuple):
    """Normalised scores of two contestants, both (runs, tasks), run by run in pairs."""

    challenger: FloatArray
    baseline: FloatArray


@dataclass(frozen=True)
class Comparison:
    """What the rule found, and from what numbers."""

    outcome: Outcome
    difference: Interval
    """Challenger − baseline: of the means on a task, of the interquartile means over all."""
    probability: Interval
    """That the challenger is the better one of a pair, ties counting half."""
    p_value: float
    adjusted_p_value: float
    """By Holm's method over the whole family."""
    unmet: tuple[Condition, ...]
    """Conditions that keep the contestant who is ahead from winning; none if one has won."""


def compare_tasks(
    pairs: Sequence[Pair], rule: VerdictRule, rng: np.random.Generator
) -> list[list[Comparison]]:
    """Judge every challenger on every task; all of these comparisons are one family.

    Parameters
    ----------
    pairs
        One a challenger. They may differ in tasks and in runs, so tasks from which different pairs
        are left out can come one by one.
    rule
        What counts as a win.
    rng
        Draws resamples.

    Returns
    -------
    For each of ``pairs``, a comparison a task.

    Raises
    ------
    InputError
        If the arrays of a pair differ in shape, have fewer than 2 runs, or numbers that are not
        finite.
    """
    found = []
    for challenger, baseline in pairs:
        if np.shape(challenger) != np.shape(baseline):
            raise InputError(
                f"challenger has shape {np.shape(challenger)} and baseline {np.shape(baseline)}; "
                "give the same pairs of runs on the same tasks"
            )
        differences = np.subtract(challenger, baseline, dtype=np.float64)
        resamples = rule.num_resamples
        found.append(
            (
                permutation_p_values(differences, rng, num_resamples=resamples),
                mean_interval(differences, 1 - rule.level, rng, num_resamples=resamples),
                probability_better(differences, 1 - rule.level, rng, num_resamples=resamples),
            )
        )
    family = holm(np.concatenate([p_values for p_values, *_ in found] or [np.empty(0)]))
    adjusted = iter(family.tolist())
    return [
        [
            _judge(p_value, next(adjusted), difference, probability, rule)
            for p_value, difference, probability in zip(*columns, strict=True)
        ]
        for columns in found
    ]


def compare_overall(
    pairs: Sequence[Pair], rule: VerdictRule, rng: np.random.Generator
) -> list[Comparison]:
    """Judge every challenger over all of its tasks together; the challengers are one family.

    Parameters and errors are those of ``compare_tasks``.
    """
    confidence, resamples = 1 - rule.level, rule.num_resamples
    found = [
        (
            overall_difference(*pair, confidence, rng, num_resamples=resamples),
            overall_probability(*pair, confidence, rng, num_resamples=resamples),
            _seeds_differences(pair),
        )
        for pair in pairs
    ]
    p_values = [
        float(permutation_p_values(differences, rng, num_resamples=resamples)[0])
        for *_, differences in found
    ]
    adjusted = holm(np.array(p_values, dtype=np.float64)).tolist()
    return [
        _judge(
            p_value,
            adjusted_p_value,
            difference,
            probability,
            rule,
            one_direction=bool(differences.mean() * difference.estimate >= 0),
        )
        for (difference, probability, differences), p_value, adjusted_p_value in zip(
            found, p_values, adjusted, strict=True
        )
    ]


def _seeds_differences(pair: Pair) -> FloatArray:
    """Return each seed's mean difference over tasks, (runs, 1)."""
    differences: FloatArray = np.subtract(pair.challenger, pair.baseline, dtype=np.float64)
    means: FloatArray = differences.mean(axis=1, keepdims=True)
    return means


def _judge(
    p_value: float,
    adjusted_p_value: float,
    difference: Interval,
    probability: Interval,
    rule: VerdictRule,
    *,
    one_direction: bool = True,
) -> Comparison:
    # Whoever is behind cannot win, so the rule is put to the one who is ahead.
    challenger_ahead = difference.estimate >= 0
    lead, better = difference, probability
    if not challenger_ahead:
        lead = Interval(-difference.estimate, -difference.high, -difference.low)
        better = Interval(1 - probability.estimate, 1 - probability.high, 1 - probability.low)
    conditions: dict[Condition, bool] = {
        "direction": one_direction,
        "significance": adjusted_p_value <= rule.level,
        "margin": lead.low > rule.margin + _ROUNDING,
        "probability": better.estimate >= rule.probability - _ROUNDING,
        "probability interval": better.low > 0.5 + _ROUNDING,
    }
    unmet = tuple(condition for condition, met in conditions.items() if not met)
    outcome: Outcome = "inconclusive"
    if not unmet:
        outcome = "challenger wins" if challenger_ahead else "baseline wins"
    return Comparison(outcome, difference, probability, float(p_value), adjusted_p_value, unmet)
