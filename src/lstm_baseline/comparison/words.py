"""How numbers and outcomes are put into words: the same in terminal, figures and page."""

import math
from collections.abc import Sequence

from lstm_baseline.comparison.judge import Duel, TaskVerdict
from lstm_baseline.comparison.plan import Plan, Shortage
from lstm_baseline.comparison.results import ContestantOutcome, Spread, TaskOutcome
from lstm_baseline.comparison.statistics import Interval
from lstm_baseline.comparison.verdict import Comparison
from lstm_baseline.tasks.metrics import Metric

_LABELS = {"lstm": "LSTM", "gru": "GRU", "relational": "relational RNN"}
NOTHING = "–"
"""Stands where there is no number."""


def model_label(model: str) -> str:
    """Return how a model is called in prose and in figures."""
    return _LABELS.get(model, model)


def metric_label(metric: Metric) -> str:
    """Return the metric's name and unit, and which way is better."""
    unit = f" ({metric.unit})" if metric.unit and metric.unit not in metric.name else ""
    return f"{metric.name}{unit}, {'higher' if metric.higher_is_better else 'lower'} is better"


def number(value: float | None, like: float | None = None) -> str:
    """Return a score to about three significant digits, or with the decimals that suit another."""
    if value is None:
        return NOTHING
    scale = abs(value if like is None else like)
    if scale and not 1e-5 <= scale < 1e6:
        text = f"{abs(value):.2e}"
    else:
        exponent = math.floor(math.log10(scale)) if scale else 0
        decimals = max(3 - exponent, 0) if exponent > 0 else max(3, 1 - exponent)
        text = f"{abs(value):,.{decimals}f}"
    return f"−{text}" if value < 0 and float(text.replace(",", "")) else text


def spread(values: Spread | None) -> str:
    """Return mean ± standard deviation, or the mean alone for a single seed."""
    if values is None:
        return NOTHING
    if values.std is None:
        return number(values.mean)
    return f"{number(values.mean)} ± {number(values.std, like=values.mean)}"


def duration(seconds: float | None) -> str:
    """Return a time that a person can read at a glance."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 600:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def learned(contestant: ContestantOutcome) -> str:
    """Return whether a contestant learned a task, seed by seed."""
    count, total = contestant.num_learned, len(contestant.seeds)
    if count == 0:
        return "did not learn"
    return "learned" if count == total else f"learned in {count} of {seeds(total)}"


def seeds(count: int) -> str:
    """Return a number of seeds with its noun."""
    return counted(count, "seed")


def counted(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def steps_to_threshold(contestant: ContestantOutcome) -> str:
    """Return the median number of steps to the threshold, or that it was not reached."""
    speed = contestant.speed
    if speed is None:
        return NOTHING
    return f"{speed.steps:,.0f}" if math.isfinite(speed.steps) else "not reached"


def seconds_to_threshold(contestant: ContestantOutcome) -> str:
    """Return the median training time to the threshold, or that it was not reached."""
    speed = contestant.speed
    if speed is None:
        return NOTHING
    return duration(speed.seconds) if math.isfinite(speed.seconds) else "not reached"


def reached(contestant: ContestantOutcome) -> str:
    """Return how many seeds reached the threshold."""
    speed = contestant.speed
    return NOTHING if speed is None else f"{speed.reached} of {len(contestant.seeds)}"


def listing(items: Sequence[str]) -> str:
    """Return items as an enumeration in a sentence."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def count_range(values: Sequence[int]) -> str:
    """Return the smallest and the largest of some counts."""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def threshold_rule(outcome: TaskOutcome) -> str:
    """Return what the score whose first reaching is timed stands for."""
    if outcome.best_heuristic is None:
        return "no rule to compare with"
    if outcome.oracle is None:
        return f"as good as {outcome.best_heuristic.name}"
    return f"half way from {outcome.best_heuristic.name} to {outcome.oracle.name}"


def shortage(plan: Plan, found: Shortage) -> str:
    """Say before a race that too few seeds leave no room for a verdict."""
    comparisons = counted(len(plan.tasks) * len(plan.challengers), "comparison")
    race = "any task" if found.race_too else "any single task, only the race over all tasks"
    return (
        f"{seeds(plan.seeds)} cannot decide {race}: p is at least {found.smallest_p:.3g}, and over "
        f"{comparisons} at a level of {plan.rule.level:g} one has to reach {found.needed_p:.2g}; "
        f"{seeds(found.needed_seeds)} can"
    )


def interval(values: Interval, confidence: float) -> str:
    """Return an interval as a sentence has it."""
    scale = max(abs(values.low), abs(values.high), 0.1)
    low, high = (number(end, like=scale) for end in (values.low, values.high))
    return f"{confidence:.0%} interval {low} to {high}"


def verdict(plan: Plan, duel: Duel) -> str:
    """Return the outcome of a duel in one sentence that can be quoted."""
    one, other = model_label(duel.challenger), model_label(duel.baseline)
    if duel.overall is None:
        return f"No verdict on {one} against {other}: {_why_not_compared(plan, duel)}."
    difference = duel.overall.difference
    of_tasks = f"{counted(len(duel.compared), 'task')} and {counted(plan.seeds, 'paired seed')}"
    figures = (
        f"over {of_tasks} the interquartile mean of its normalised scores is "
        f"{number(duel.challenger_score)}, that of the {other} {number(duel.baseline_score)}, a "
        f"difference of {number(difference.estimate, like=0.1)} "
        f"({interval(difference, 1 - plan.rule.level)}; p = {p_value(duel.overall)})"
    )
    if duel.outcome == "challenger wins":
        return f"The {one} beats the {other}: {figures}."
    if duel.outcome == "baseline wins":
        return f"The baseline wins, {other} over {one}: {figures}."
    return (
        f"Inconclusive between {one} and {other}: {figures}, but {_why_inconclusive(plan, duel)}."
    )


def p_value(comparison: Comparison) -> str:
    """Return a p-value after Holm's correction."""
    p = comparison.adjusted_p_value
    return f"{p:.2g}" if p >= 1e-4 else "less than 0.0001"


def _why_not_compared(plan: Plan, duel: Duel) -> str:
    if plan.seeds < 2:
        return "one seed shows what can happen, not what usually does"
    barriers = {barrier(task, duel) for task in duel.tasks}
    return barriers.pop() if len(barriers) == 1 else "there is no task that both learned"


def barrier(task: TaskVerdict, duel: Duel) -> str:
    """Return why two contestants are not compared on a task."""
    one, other = model_label(duel.challenger), model_label(duel.baseline)
    return {
        "neither learned": "neither learned",
        "only the challenger learned": f"only the {one} learned",
        "only the baseline learned": f"only the {other} learned",
        "no ceiling": "its best heuristic is perfect already",
        None: "one seed is no comparison",
    }[task.barrier]


def _why_inconclusive(plan: Plan, duel: Duel) -> str:
    assert duel.overall is not None
    if duel.disqualified:
        ahead = duel.challenger if duel.overall.difference.estimate > 0 else duel.baseline
        behind = duel.baseline if ahead == duel.challenger else duel.challenger
        return (
            f"the {model_label(ahead)} did not learn {listing(duel.disqualified)}, which the "
            f"{model_label(behind)} did"
        )
    return unmet(plan, duel.overall)


def unmet(plan: Plan, comparison: Comparison) -> str:
    """Return which conditions of a win were not met."""
    rule = plan.rule
    texts = {
        "significance": f"p is above {rule.level:g}",
        "margin": f"the interval reaches within the margin of {rule.margin:g}",
        "probability": (
            f"the one ahead does better in fewer than {rule.probability:.0%} of the pairs"
        ),
        "probability interval": "doing better in half of the pairs or fewer is not excluded",
    }
    return listing([texts[condition] for condition in comparison.unmet])
