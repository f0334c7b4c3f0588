"""The race's figures: learning curves and final scores, each as data and as a drawing of them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.plots.drawing import (
    INK,
    add_legend,
    draw_ladder,
    label_columns,
    legend_label,
    model_style,
    new_axes,
    note_cut,
    set_score_axis,
    styled,
)
from lstm_baseline.plots.formats import metric_label, model_label, seeds
from lstm_baseline.race.results import ContestantOutcome, TaskOutcome
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.metrics import Metric

SIZE = (5.4, 3.5)
"""Of a figure, in inches."""
X_LABELS = {"steps": "training steps", "seconds": "seconds of training, on one core"}

_MOST_POINTS = 200


class Line(NamedTuple):
    """A single run: validation scores, both (N,)."""

    x: FloatArray
    score: FloatArray


class Curve(NamedTuple):
    """A contestant's validation score, over the seeds that finished, each (N,)."""

    model: str
    x: FloatArray
    mean: FloatArray
    low: FloatArray
    """Of the lowest seed."""
    high: FloatArray
    """Of the highest seed."""
    num_seeds: int
    failed: tuple[Line, ...]
    """Runs that failed, as far as they got; in none of the above."""


class LearningCurves(NamedTuple):
    """Validation scores of all contestants on a task."""

    x_label: str
    y_label: str
    higher_is_better: bool
    curves: tuple[Curve, ...]
    ladder: tuple[Rung, ...]


class Points(NamedTuple):
    """A contestant's final test scores."""

    model: str
    scores: FloatArray
    """Of each seed that finished."""
    untrained: FloatArray
    """Of each seed's network before training."""
    mean: float | None
    """Of the scores."""
    num_failed: int


class FinalScores(NamedTuple):
    """Final test scores of all contestants on a task."""

    y_label: str
    higher_is_better: bool
    points: tuple[Points, ...]
    ladder: tuple[Rung, ...]


def learning_curves(
    outcome: TaskOutcome, against: Literal["steps", "seconds"] = "steps"
) -> LearningCurves:
    """Return the learning curves of a task against training steps or seconds of training.

    Seeds are read at the same places: between its validations a run is on the straight line that
    joins them, and after it stopped it keeps its last score.
    """
    return LearningCurves(
        X_LABELS[against],
        f"validation {axis_label(outcome.metric)}",
        outcome.metric.higher_is_better,
        tuple(_curve(contestant, against) for contestant in outcome.contestants),
        outcome.ladder,
    )


def final_scores(outcome: TaskOutcome) -> FinalScores:
    """Return the final test scores of a task, every seed on its own."""
    return FinalScores(
        f"test {axis_label(outcome.metric)}",
        outcome.metric.higher_is_better,
        tuple(
            Points(
                contestant.model,
                np.array([score for score in contestant.scores if score is not None]),
                np.array([seed.result.untrained_score for seed in contestant.seeds]),
                None if contestant.score is None else contestant.score.mean,
                len(contestant.failures),
            )
            for contestant in outcome.contestants
        ),
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
    set_score_axis(axes, shown, data.ladder, data.higher_is_better)
    axes.set_xlim(left=-0.01 * axes.get_xlim()[1])
    axes.set_xlabel(f"{data.x_label}\n{_how_to_read(data)}")
    axes.set_ylabel(data.y_label)
    note_cut(axes, [*shown, *failed])
    add_legend(axes)
    draw_ladder(axes, data.ladder)
    return figure


@styled
def final_scores_figure(data: FinalScores) -> Figure:
    """Draw final scores: a dot for each seed, a bar for the mean, the untrained control hollow."""
    figure, axes = new_axes(*SIZE)
    models = [points.model for points in data.points]
    for place, points in enumerate(data.points):
        _draw_points(axes, place, points, models)
    shown = [s for points in data.points for s in (*points.scores, *points.untrained)]
    set_score_axis(axes, shown, data.ladder, data.higher_is_better)
    axes.set_xlim(-0.6, len(models) - 0.4)
    axes.set_xticks([])
    axes.set_ylabel(data.y_label)
    note_cut(axes, shown)
    _explain_points(axes)
    draw_ladder(axes, data.ladder)
    label_columns(axes, [_tick(points) for points in data.points])
    return figure


def axis_label(metric: Metric) -> str:
    """Return the metric, and below which way is better."""
    return metric_label(metric).replace(", ", "\n")


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
    """Say what line and band are."""
    counts = {curve.num_seeds for curve in data.curves if curve.num_seeds}
    if not counts:
        text = "no run finished"
    elif counts == {1}:
        text = "one seed"
    else:
        of = seeds(counts.pop()) if len(counts) == 1 else "the seeds that finished"
        text = f"line and band: mean and range of {of}"
    return f"{text}; ×: failed" if any(curve.failed for curve in data.curves) else text


def _draw_points(axes: Axes, place: int, points: Points, models: Sequence[str]) -> None:
    style = model_style(points.model, models)
    trained, untrained = place - 0.14, place + 0.24
    axes.plot(
        _side_by_side(trained, len(points.scores), 0.1),
        points.scores,
        color=style.color,
        marker=style.marker,
        markersize=5.5,
        markeredgewidth=0,
        alpha=0.75,
        linestyle="none",
    )
    axes.plot(
        _side_by_side(untrained, len(points.untrained), 0.07),
        points.untrained,
        color=style.color,
        marker=style.marker,
        markersize=5.5,
        markerfacecolor="none",
        linestyle="none",
    )
    if points.mean is not None:
        axes.plot(
            [trained - 0.2, trained + 0.2], [points.mean] * 2, color=style.color, linewidth=2.2
        )


def _side_by_side(middle: float, count: int, reach: float) -> FloatArray:
    """Return places around a middle, in an order that keeps neighbours in value apart."""
    if count < 2:
        return np.full(count, middle)
    places = middle + np.linspace(-reach, reach, count)
    return places[np.argsort(np.arange(count) * 7 % count, kind="stable")]


def _tick(points: Points) -> str:
    label = model_label(points.model)
    return f"{label}\n({seeds(points.num_failed)} failed)" if points.num_failed else label


def _explain_points(axes: Axes) -> None:
    """Put a legend of what dots and bars are, in no model's colour."""
    for label, options in (
        ("one seed", {"marker": "o", "linestyle": "none", "markeredgewidth": 0}),
        ("mean", {"linewidth": 2.2}),
        ("same network untrained", {"marker": "o", "linestyle": "none", "markerfacecolor": "none"}),
    ):
        axes.plot([], [], color=INK, markersize=5.5, label=label, **options)
    add_legend(axes)
