"""How numbers and outcomes are put into words: the same in terminal, figures and page."""

import math
from collections.abc import Sequence

from lstm_baseline.comparison.results import Contestant, Spread, TaskOutcome
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


def learned(contestant: Contestant) -> str:
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


def steps_to_threshold(contestant: Contestant) -> str:
    """Return the median number of steps to the threshold, or that it was not reached."""
    speed = contestant.speed
    if speed is None:
        return NOTHING
    return f"{speed.steps:,.0f}" if math.isfinite(speed.steps) else "not reached"


def seconds_to_threshold(contestant: Contestant) -> str:
    """Return the median training time to the threshold, or that it was not reached."""
    speed = contestant.speed
    if speed is None:
        return NOTHING
    return duration(speed.seconds) if math.isfinite(speed.seconds) else "not reached"


def reached(contestant: Contestant) -> str:
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
