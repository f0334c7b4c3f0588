"""Spelling of numbers and names: the same on the console, in figures and on the page."""

import math
import unicodedata
from collections.abc import Sequence

from lstm_baseline.engine.models import MODELS
from lstm_baseline.engine.wording import counted
from lstm_baseline.tasks.metrics import Metric
from lstm_baseline.training import TrainingSettings

NOTHING = "–"
"""Placeholder for a missing number."""

_JOINERS = "\u200c\u200d"


def printable(text: str) -> str:
    """Return a user's text as one line that moves no cursor and turns no reading direction.

    Characters that could are shown as escapes. Spaces of other widths, and the joiners without
    which some languages cannot be written, stay.
    """
    return "".join(
        character
        if character.isprintable()
        or character in _JOINERS
        or unicodedata.category(character) == "Zs"
        else ascii(character)[1:-1]
        for character in text
    )


def printable_lines(text: str) -> str:
    """Return a text of several lines, each as ``printable`` has it."""
    return "\n".join(map(printable, text.split("\n")))


def model_label(model: str) -> str:
    """Return the name of a model in prose and in figures."""
    return MODELS[model].label if model in MODELS else printable(model)


def the(model: str) -> str:
    """Return a model's label for use in a sentence; a name that a user gave takes no article."""
    return f"the {MODELS[model].label}" if model in MODELS else printable(model)


def metric_label(metric: Metric) -> str:
    """Return the metric's name, unit and better direction."""
    unit = f" ({metric.unit})" if metric.unit and metric.unit not in metric.name else ""
    return f"{metric.name}{unit}, {'higher' if metric.higher_is_better else 'lower'} is better"


def number(value: float | None, like: float | None = None) -> str:
    """Return a score to about three significant digits, or with the decimals that suit ``like``."""
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


def seeds(count: int) -> str:
    """Return a number of seeds with the noun."""
    return counted(count, "seed")


def count(value: float | None) -> str:
    """Return a whole number with its thousands separated."""
    return NOTHING if value is None else f"{value:,.0f}"


def memory(size: float | None) -> str:
    """Return a number of bytes in MiB or GiB."""
    if size is None:
        return NOTHING
    mebibytes = size / 2**20
    return f"{mebibytes / 1024:.1f} GiB" if mebibytes >= 1000 else f"{mebibytes:.0f} MiB"


def settings(given: TrainingSettings, names: Sequence[str]) -> str:
    """Return some training settings by their names."""
    values = given.model_dump()
    return ", ".join(f"{name.replace('_', ' ')} {values[name]}" for name in names)


def listing(items: Sequence[str]) -> str:
    """Return items as an enumeration in a sentence."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def value_label(value: object) -> str:
    """Return an argument's value as a label: a range as 3–40, others as they are."""
    if isinstance(value, list | tuple) and len(value) == 2:
        return f"{value[0]}–{value[1]}"
    return str(value)


def count_range(values: Sequence[int]) -> str:
    """Return the smallest and the largest of some counts."""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
