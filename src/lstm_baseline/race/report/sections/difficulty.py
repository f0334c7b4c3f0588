"""Score against difficulty, as one argument of the task varies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from lstm_baseline.engine.shapes import FloatArray, IntArray
from lstm_baseline.plots.drawing import (
    INK,
    MUTED,
    RUNG_DASHES,
    SIZE,
    add_legend,
    axis_label,
    label_columns,
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
from lstm_baseline.plots.formats import (
    listing,
    metric_label,
    model_label,
    number,
    seeds,
    value_label,
)
from lstm_baseline.plots.layout import label_right
from lstm_baseline.race.outcomes import Point, RaceOutcome, SweepOutcome
from lstm_baseline.race.report.sections.section import Picture, Section, draw, file_name
from lstm_baseline.tasks.base import Rung, RungKind
from lstm_baseline.tasks.metrics import Metric

_LOGARITHMIC = 10.0
"""Ratio of the largest to the smallest value from which the axis is logarithmic."""


class DifficultyCurve(NamedTuple):
    """Test score of a contestant over the seeds that finished, at each of V values."""

    model: str
    mean: FloatArray
    """(V,); NaN where no seed finished."""
    low: FloatArray
    """Score of the lowest seed, (V,)."""
    high: FloatArray
    """Score of the highest seed, (V,)."""
    num_failed: IntArray
    """Number of seeds that failed and are in none of the above, (V,)."""


class Bound(NamedTuple):
    """Score of a rule at each of V values."""

    name: str
    kind: RungKind
    score: FloatArray
    """(V,); NaN where there is no such rule."""


class DifficultyCurves(NamedTuple):
    """Test scores of all contestants at the values of an argument."""

    argument: str
    y_label: str
    higher_is_better: bool
    values: tuple[Any, ...]
    """Values of the argument, ascending if they are numbers."""
    trained_at: Any
    """The only value at which models were trained; None if they were trained at every value."""
    num_seeds: int
    curves: tuple[DifficultyCurve, ...]
    bounds: tuple[Bound, ...]
    """Bounds of the ladder: chance, best heuristic and oracle, as far as the task has them."""


def difficulty_curves(sweep: SweepOutcome) -> DifficultyCurves:
    """Return the test scores and the ladder at each value of an argument of the task."""
    of = sweep.sweep
    order = list(range(len(of.values)))
    if _are_numbers(of.values):
        order.sort(key=lambda k: of.values[k])
    ladders = [sweep.ladders[k] for k in order]
    return DifficultyCurves(
        of.vary,
        f"test {axis_label(sweep.metric)}",
        sweep.metric.higher_is_better,
        tuple(of.values[k] for k in order),
        None if of.train else of.task.config()[of.vary],
        of.seeds,
        tuple(_curve(model, [points[k] for k in order]) for model, points in sweep.points.items()),
        tuple(_bounds(ladders, sweep.metric)),
    )


@styled
def difficulty_figure(data: DifficultyCurves) -> Figure:
    """Draw mean and range over seeds at each value, the ladder, and the value of training."""
    figure, axes = new_axes(*SIZE)
    places = _places(data.values)
    models = [curve.model for curve in data.curves]
    for place, curve in enumerate(data.curves):
        _draw_curve(axes, places, curve, place, models)
    for bound in data.bounds:
        axes.plot(
            places,
            bound.score,
            color=MUTED,
            linewidth=1,
            linestyle=RUNG_DASHES[bound.kind],
            marker="." if len(places) == 1 else "",
            zorder=1,
        )
    shown = [s for curve in data.curves for s in (*curve.low, *curve.high)]
    rungs = [
        Rung(bound.name, bound.kind, "", float(score))
        for bound in data.bounds
        for score in bound.score
        if np.isfinite(score)
    ]
    set_score_axis(axes, data.y_label, shown, rungs, data.higher_is_better)
    note_cut(axes, shown)
    trained_at = _draw_trained_at(axes, data, places)
    add_legend(axes)
    _label_bounds(axes, data.bounds)
    _set_places(axes, data, places, trained_at)
    axes.set_xlabel(wrapped_label(axes, data.argument, _how_to_read(data)))
    make_room_below(axes)
    return figure


def _curve(model: str, points: Sequence[Point]) -> DifficultyCurve:
    finished = [[score for score in point.scores if score is not None] for point in points]
    mean, low, high = (
        np.array([float(of(scores)) if scores else np.nan for scores in finished])
        for of in (np.mean, np.min, np.max)
    )
    failed = [
        len(point.scores) - len(scores) for point, scores in zip(points, finished, strict=True)
    ]
    return DifficultyCurve(model, mean, low, high, np.array(failed))


def _bounds(ladders: Sequence[Sequence[Rung]], metric: Metric) -> list[Bound]:
    """Return chance, best heuristic (unless that is chance itself), and oracle."""
    best = max if metric.higher_is_better else min

    def score(rungs: Sequence[Rung]) -> float:
        return best((rung.score for rung in rungs), default=np.nan)

    chance = np.array([score(ladder[:1]) for ladder in ladders])
    heuristic = np.array([score([r for r in ladder if r.kind != "oracle"]) for ladder in ladders])
    oracle = np.array([score([r for r in ladder if r.kind == "oracle"]) for ladder in ladders])
    bounds = [Bound("chance", "chance", chance)]
    if not np.array_equal(chance, heuristic, equal_nan=True):
        bounds.append(Bound("best heuristic", "heuristic", heuristic))
    bounds.append(Bound("oracle", "oracle", oracle))
    return [bound for bound in bounds if np.isfinite(bound.score).any()]


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _places(values: Sequence[Any]) -> FloatArray:
    """Return the places of values on the axis: numbers at their value, others side by side."""
    return np.array(values if _are_numbers(values) else range(len(values)), dtype=np.float64)


def _draw_curve(
    axes: Axes, places: FloatArray, curve: DifficultyCurve, place: int, models: Sequence[str]
) -> None:
    style = model_style(curve.model, models)
    figure = axes.figure
    assert isinstance(figure, Figure)
    # Move it a few points aside, so that ranges at one value do not cover each other.
    aside = ScaledTranslation(
        3.5 * (place - (len(models) - 1) / 2) / 72, 0.0, figure.dpi_scale_trans
    )
    axes.plot(
        places,
        curve.mean,
        color=style.color,
        linestyle=style.dash,
        linewidth=1.8,
        marker=style.marker,
        markersize=4.5,
        transform=axes.transData + aside,
        label=legend_label(model_label(curve.model)),
    )
    axes.vlines(
        places,
        curve.low,
        curve.high,
        color=style.color,
        linewidth=1.2,
        transform=axes.transData + aside,
    )
    failed = places[curve.num_failed > 0]
    axes.plot(
        failed,
        np.full(len(failed), 0.03 + 0.05 * place),
        color=style.color,
        marker="x",
        linestyle="none",
        transform=axes.get_xaxis_transform() + aside,
    )


def _draw_trained_at(axes: Axes, data: DifficultyCurves, places: FloatArray) -> float | None:
    """Draw a vertical line at the value of training and return its place; None if it has none."""
    if data.trained_at is None:
        return None
    if _are_numbers([*data.values, data.trained_at]):
        place = float(data.trained_at)
    elif data.trained_at in data.values:
        place = float(places[data.values.index(data.trained_at)])
    else:
        return None
    axes.axvline(
        place, color=INK, linewidth=1, linestyle=(0, (2, 2)), zorder=0, label="trained here"
    )
    return place


def _label_bounds(axes: Axes, bounds: Sequence[Bound]) -> None:
    """Name each bound at its right end."""
    low, high = axes.get_ylim()
    ends = [(float(bound.score[-1]), bound.name) for bound in bounds]
    label_right(
        axes,
        [(end, f"{name}\n{number(end)}") for end, name in ends if low <= end <= high],
    )


def _set_places(
    axes: Axes, data: DifficultyCurves, places: FloatArray, trained_at: float | None
) -> None:
    """Set scale, limits and ticks of the x axis."""
    ends = [*places, trained_at] if trained_at is not None else [*places]
    low, high = min(ends), max(ends)
    numbers = _are_numbers(data.values)
    if numbers and low > 0 and high >= _LOGARITHMIC * low:
        axes.set_xscale("log")
        beyond = (high / low) ** 0.06
        axes.set_xlim(low / beyond, high * beyond)
    else:
        margin = numbers * 0.06 * (high - low) or 0.5
        axes.set_xlim(low - margin, high + margin)
    if numbers:
        label_places(axes, places.tolist(), [f"{value:,}" for value in data.values])
    else:
        label_columns(axes, [value_label(value) for value in data.values])


def _how_to_read(data: DifficultyCurves) -> str:
    """Return an explanation of points and bars, and of the value that models were trained at."""
    text = "one seed" if data.num_seeds == 1 else f"mean and range of {seeds(data.num_seeds)}"
    if any(curve.num_failed.any() for curve in data.curves):
        text += "; ×: a seed failed"
    if data.trained_at is not None:
        text += (
            f"; trained at {data.argument} = {value_label(data.trained_at)}, tested beyond training"
        )
    return text


def pictures(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Return a figure for each sweep, and for each argument that further tests vary."""
    return [
        *(_picture("sweep", place, each) for place, each in enumerate(race.sweeps, 1)),
        *(_picture("test", place, each) for place, each in enumerate(race.test_curves, 1)),
    ]


def _picture(slot: str, place: int, outcome: SweepOutcome) -> Picture:
    values = [value_label(value) for value in outcome.sweep.values]
    how = "trained at each" if outcome.sweep.train else "trained at the task's own"
    return draw(
        (slot, place),
        file_name(slot, place, outcome.title, outcome.sweep.vary),
        difficulty_figure(difficulty_curves(outcome)),
        f"{outcome.title}: test {metric_label(outcome.metric)}, at {outcome.sweep.vary} of "
        f"{listing(values)}, {how}.",
        shared_key=True,
    )


def _has_sweeps(race: RaceOutcome) -> bool:
    return bool(race.sweeps or race.test_curves)


SECTION = Section("difficulty", "Difficulty", pictures, is_shown=_has_sweeps)
