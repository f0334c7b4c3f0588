"""Score of each tuning run against the learning rate that it drew."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.plots.drawing import (
    FAINT,
    SIZE,
    add_legend,
    axis_label,
    label_places,
    legend_label,
    make_room_below,
    model_style,
    new_axes,
    note_cut,
    set_score_axis,
    styled,
    wrapped_label,
)
from lstm_baseline.plots.formats import model_label
from lstm_baseline.plots.layout import draw_ladder
from lstm_baseline.race.outcomes import ContestantOutcome, RaceOutcome, TaskOutcome, Trial
from lstm_baseline.race.report import words
from lstm_baseline.race.report.sections.section import Picture, Spot, draw, task_file
from lstm_baseline.race.tuning import Range
from lstm_baseline.tasks.base import Rung

_RATE = "learning_rate"
_SHIFT = 0.03
"""Part of the range over which contestants' dots are spread, since all drew the same rates."""


class Rates(NamedTuple):
    """Tuning runs of a contestant."""

    model: str
    rates: FloatArray
    """Learning rate of each run that finished, (n,)."""
    scores: FloatArray
    """Its best validation score, (n,)."""
    is_chosen: tuple[bool, ...]
    """True for runs with the settings that were chosen, (n,)."""
    runs: tuple[Trial, ...]
    num_failed: int


class LearningRates(NamedTuple):
    """Tuning runs of all contestants on a task."""

    y_label: str
    higher_is_better: bool
    contestants: tuple[Rates, ...]
    space: Range
    ladder: tuple[Rung, ...]


def learning_rates(race: RaceOutcome, outcome: TaskOutcome) -> LearningRates | None:
    """Return the tuning runs of a task; None if no learning rate was drawn from a range."""
    space = race.plan.tuning.space.get(_RATE)
    if not isinstance(space, Range) or not any(each.trials for each in outcome.contestants):
        return None
    return LearningRates(
        f"best\nvalidation {axis_label(outcome.metric)}",
        outcome.metric.higher_is_better,
        tuple(_rates(each) for each in outcome.contestants),
        space,
        outcome.ladder,
    )


def _rates(contestant: ContestantOutcome) -> Rates:
    runs = [*contestant.trials, *contestant.reruns]
    finished = tuple(each for each in runs if each.score is not None)
    return Rates(
        contestant.model,
        np.array([each.settings.learning_rate for each in finished]),
        np.array([each.score for each in finished], np.float64),
        tuple(words.is_chosen(each, contestant) for each in finished),
        finished,
        len(runs) - len(finished),
    )


@styled
def learning_rates_figure(data: LearningRates) -> Figure:
    """Draw a dot for each tuning run, a ring around the chosen ones, edges of the space shaded."""
    figure, axes = new_axes(*SIZE)
    models = [each.model for each in data.contestants]
    _set_rate_axis(axes, data.space)
    for edge in _edges(data.space):
        axes.axvspan(*edge, color=FAINT, alpha=0.5, linewidth=0)
    for each, x in zip(data.contestants, places(data), strict=True):
        style = model_style(each.model, models)
        dots: dict[str, Any] = {"color": style.color, "marker": style.marker, "linestyle": "none"}
        label = legend_label(model_label(each.model))
        axes.plot(x, each.scores, markersize=5, markeredgewidth=0, alpha=0.75, label=label, **dots)
        chosen = np.array(each.is_chosen, bool)
        axes.plot(
            x[chosen],
            each.scores[chosen],
            markersize=10,
            markerfacecolor="none",
            **dots | {"marker": "o"},
        )
    shown = [score for each in data.contestants for score in each.scores]
    set_score_axis(axes, data.y_label, shown, data.ladder, data.higher_is_better)
    note_cut(axes, shown)
    add_legend(axes)
    draw_ladder(axes, data.ladder)
    _label_rates(axes, data)
    make_room_below(axes)
    return figure


def places(data: LearningRates) -> list[FloatArray]:
    """Return where each contestant's dots stand on the x axis: beside one another."""
    count = len(data.contestants)
    offsets = (np.arange(count) - (count - 1) / 2) * _SHIFT / max(1, count - 1)
    low, high = data.space.low, data.space.high
    if data.space.scale == "log":
        return [
            each.rates * (high / low) ** offset
            for each, offset in zip(data.contestants, offsets, strict=True)
        ]
    return [
        each.rates + (high - low) * offset
        for each, offset in zip(data.contestants, offsets, strict=True)
    ]


def _set_rate_axis(axes: Axes, space: Range) -> None:
    low, high = space.low, space.high
    if space.scale == "log":
        axes.set_xscale("log")
        room = (high / low) ** 0.03
        axes.set_xlim(low / room, high * room)
    else:
        room = 0.03 * (high - low)
        axes.set_xlim(low - room, high + room)


def _edges(space: Range) -> list[tuple[float, float]]:
    inner = space.inner
    return [(space.low, inner[0]), (inner[1], space.high)]


def _label_rates(axes: Axes, data: LearningRates) -> None:
    low, high = data.space.low, data.space.high
    if data.space.scale == "log":
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        ticks = sorted({float(f"{k * d:.3g}") for d in decades for k in (1, 3)})
    else:
        ticks = list(np.linspace(low, high, 5))
    axes.minorticks_off()
    ticks = [tick for tick in ticks if low <= tick <= high] or [low, high]
    label_places(axes, ticks, [f"{tick:g}" for tick in ticks])
    lines = ["learning rate; ringed: chosen; shaded: edge of the space"]
    if failed := sum(each.num_failed for each in data.contestants):
        lines.append(f"{failed} failed")
    axes.set_xlabel(wrapped_label(axes, *lines))


def picture(race: RaceOutcome, place: int, outcome: TaskOutcome) -> Picture | None:
    """Return the figure of a task, each dot with a link to its run."""
    data = learning_rates(race, outcome)
    if data is None:
        return None
    spots = [
        Spot(float(x), float(score), run.spec, f"{model_label(each.model)}, {run.spec.title}")
        for each, xs in zip(data.contestants, places(data), strict=True)
        for x, score, run in zip(xs, each.scores, each.runs, strict=True)
    ]
    found = [
        f"{model_label(each.model)} {_best(each)}" for each in data.contestants if len(each.scores)
    ]
    return draw(
        ("rates", place),
        task_file(place, outcome, "learning-rates"),
        learning_rates_figure(data),
        f"{outcome.title}: best validation {outcome.metric.name} of each tuning run against its "
        f"learning rate. Chosen: {'; '.join(found) or 'no trial finished'}.",
        shared_key=True,
        spots=spots,
    )


def _best(each: Rates) -> str:
    chosen = {f"{rate:g}" for rate, is_it in zip(each.rates, each.is_chosen, strict=True) if is_it}
    return " and ".join(sorted(chosen)) or "the plan's own"
