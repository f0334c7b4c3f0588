"""Learning curves: validation scores of all contestants on each task, against steps and seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.plots.drawing import (
    SIZE,
    add_legend,
    axis_label,
    legend_label,
    model_style,
    new_axes,
    note_cut,
    set_score_axis,
    styled,
)
from lstm_baseline.plots.formats import metric_label, model_label, number, seeds
from lstm_baseline.plots.layout import draw_ladder
from lstm_baseline.race.outcomes import ContestantOutcome, RaceOutcome, TaskOutcome
from lstm_baseline.race.report import words
from lstm_baseline.race.report.sections.section import Picture, Section, draw, task_file
from lstm_baseline.tasks.base import Rung

_MOST_POINTS = 200


class Line(NamedTuple):
    """Validation scores of a single run, both (N,)."""

    x: FloatArray
    score: FloatArray


class Curve(NamedTuple):
    """Validation score of a contestant over the seeds that finished, each (N,)."""

    model: str
    x: FloatArray
    mean: FloatArray
    low: FloatArray
    """Score of the lowest seed."""
    high: FloatArray
    """Score of the highest seed."""
    num_seeds: int
    failed: tuple[Line, ...]
    """Runs that failed, up to their failure; they are in none of the above."""


class LearningCurves(NamedTuple):
    """Validation scores of all contestants on a task."""

    x_label: str
    y_label: str
    higher_is_better: bool
    curves: tuple[Curve, ...]
    ladder: tuple[Rung, ...]


def learning_curves(outcome: TaskOutcome, against: words.Against = "steps") -> LearningCurves:
    """Return the learning curves of a task against training steps or seconds of training.

    All seeds are read at the same places. Between two validations a run's score is interpolated
    linearly; after the run stopped it keeps its last score.
    """
    return LearningCurves(
        words.TIME_AXES[against],
        f"validation {axis_label(outcome.metric)}",
        outcome.metric.higher_is_better,
        tuple(_curve(contestant, against) for contestant in outcome.contestants),
        outcome.ladder,
    )


@styled
def learning_curves_figure(data: LearningCurves) -> Figure:
    """Draw learning curves: mean line, band from the lowest to the highest seed, the ladder."""
    figure, axes = new_axes(*SIZE, bottom=0.68)
    models = [curve.model for curve in data.curves]
    for curve in data.curves:
        _draw_curve(axes, curve, models)
    shown = [s for curve in data.curves for s in (*curve.low, *curve.high)]
    failed = [s for curve in data.curves for line in curve.failed for s in line.score]
    # What led to a failure would squeeze linear axes; the logarithmic ones of errors have room.
    known = [] if data.higher_is_better else failed
    set_score_axis(axes, data.y_label, [*shown, *known], data.ladder, data.higher_is_better)
    axes.set_xlim(left=-0.01 * axes.get_xlim()[1])
    axes.set_xlabel(f"{data.x_label}\n{_how_to_read(data)}")
    note_cut(axes, [*shown, *failed])
    add_legend(axes)
    draw_ladder(axes, data.ladder)
    return figure


def _curve(contestant: ContestantOutcome, against: str) -> Curve:
    lines, failed = [], []
    for seed in contestant.seeds:
        history = seed.result.history
        x = np.array([r.step if against == "steps" else r.seconds for r in history], np.float64)
        line = Line(x, np.array([record.metric for record in history]))
        if seed.result.score is None:
            failed.append(line)
        else:
            lines.append(line)
    if not lines:
        nothing = np.empty(0)
        return Curve(contestant.model, nothing, nothing, nothing, nothing, 0, tuple(failed))
    grid = np.unique(np.concatenate([line.x for line in lines]))
    if len(grid) > _MOST_POINTS:
        grid = np.linspace(grid[0], grid[-1], _MOST_POINTS)
    scores = np.stack([np.interp(grid, line.x, line.score) for line in lines])
    return Curve(
        contestant.model,
        grid,
        scores.mean(axis=0),
        scores.min(axis=0),
        scores.max(axis=0),
        len(lines),
        tuple(failed),
    )


def _draw_curve(axes: Axes, curve: Curve, models: Sequence[str]) -> None:
    style = model_style(curve.model, models)
    if curve.num_seeds > 1:
        axes.fill_between(curve.x, curve.low, curve.high, color=style.color, alpha=0.2, linewidth=0)
    axes.plot(
        curve.x,
        curve.mean,
        color=style.color,
        linestyle=style.dash,
        linewidth=1.8,
        marker=style.marker,
        markersize=4.5,
        markevery=0.12,
        label=legend_label(model_label(curve.model)),
    )
    for line in curve.failed:
        axes.plot(line.x, line.score, color=style.color, linestyle=style.dash, linewidth=0.8)
        axes.plot(line.x[-1:], line.score[-1:], color=style.color, marker="x", markersize=7)


def _how_to_read(data: LearningCurves) -> str:
    """Return an explanation of line and band."""
    counts = {curve.num_seeds for curve in data.curves if curve.num_seeds}
    if not counts:
        text = "no run finished"
    elif counts == {1}:
        text = "one seed"
    else:
        of = seeds(counts.pop()) if len(counts) == 1 else "the seeds that finished"
        text = f"line and band: mean and range of {of}"
    return f"{text}; ×: failed" if any(curve.failed for curve in data.curves) else text


def pictures(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Return two figures for each task: against steps, and against seconds."""
    return [
        _picture(place, outcome, against)
        for place, outcome in enumerate(race.trained, 1)
        for against in words.TIME_AXES
    ]


def _picture(place: int, outcome: TaskOutcome, against: words.Against) -> Picture:
    data = learning_curves(outcome, against)
    ends = [
        f"{model_label(curve.model)} from {number(curve.mean[0])} to {number(curve.mean[-1])}"
        for curve in data.curves
        if len(curve.mean)
    ]
    return draw(
        ("curves", place),
        task_file(place, outcome, f"learning-curves-{against}"),
        learning_curves_figure(data),
        f"{outcome.title}: validation {metric_label(outcome.metric)}, against "
        f"{data.x_label}. {'; '.join(ends) or 'No run finished'}.",
        shared_key=True,
    )


SECTION = Section("curves", "Learning curves", pictures)
