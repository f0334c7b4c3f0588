"""Scores of all contestants over all tasks, and each seed's final test score on each task."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.plots.drawing import (
    INK,
    MUTED,
    SIZE,
    add_legend,
    axis_label,
    label_columns,
    model_style,
    new_axes,
    note_cut,
    set_score_axis,
    styled,
)
from lstm_baseline.plots.formats import model_label, number, seeds
from lstm_baseline.plots.layout import draw_ladder
from lstm_baseline.race.outcomes import RaceOutcome, TaskOutcome
from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.report import words
from lstm_baseline.race.report.interval_rows import (
    column_number,
    draw_interval,
    finish_rows,
    interval_rows,
    percent,
    put_numbers,
)
from lstm_baseline.race.report.sections.section import (
    Picture,
    Section,
    Spot,
    draw,
    file_name,
    of_each,
    task_file,
)
from lstm_baseline.tasks.base import Rung

_TRAINED_LEFT = 0.14
"""How far left of a contestant's middle its trained networks stand; untrained ones stand right."""


class OverallScore(NamedTuple):
    """Score of a contestant over all tasks."""

    model: str
    score: Interval | None
    """Mean of normalised scores; None where there is no interval."""


class OverallScores(NamedTuple):
    """Scores of all contestants over all tasks."""

    confidence: float
    """Confidence of the intervals."""
    scores: tuple[OverallScore, ...]
    reason: str
    """Reason why there are no intervals; empty if there are."""


class Points(NamedTuple):
    """Final test scores of a contestant."""

    model: str
    scores: FloatArray
    """Score of each seed that finished."""
    untrained: FloatArray
    """Score of each seed's network before training."""
    mean: float | None
    """Mean of the scores."""
    num_failed: int


class FinalScores(NamedTuple):
    """Final test scores of all contestants on a task."""

    y_label: str
    higher_is_better: bool
    points: tuple[Points, ...]
    ladder: tuple[Rung, ...]


def overall_scores(race: RaceOutcome) -> OverallScores:
    """Return each contestant's mean of normalised scores over all tasks and seeds."""
    overall = race.overall
    reason = ""
    if not overall:
        one_seed = race.plan.seeds == 1
        reason = "one seed has no interval" if one_seed else "no task has room above its heuristics"
    return OverallScores(
        1 - race.plan.rule.level,
        tuple(OverallScore(name, overall.get(name)) for name in race.plan.models),
        reason,
    )


def final_scores(outcome: TaskOutcome) -> FinalScores:
    """Return the final test scores of a task, each seed separately."""
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
def overall_scores_figure(data: OverallScores) -> Figure:
    """Draw each contestant's score with its interval; 0 is the best heuristic, 1 the oracle."""
    models = [score.model for score in data.scores]
    figure, axes, edges = interval_rows(
        [model_label(model) for model in models],
        [data.reason] * len(models),
        () if data.reason else ("score", "from", "to"),
    )
    ends = [end for each in data.scores for end in each.score or () if math.isfinite(end)]
    low, high = min([0.0, *ends]), max([1.0, *ends])
    axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    if not ends:
        axes.set_xticks([])
    for (model, score), (top, bottom) in zip(data.scores, edges, strict=True):
        if score is None:
            continue
        axes.plot([0, 0], [top, bottom], color=MUTED, linewidth=1, linestyle=(0, (5, 2.5)))
        axes.plot([1, 1], [top, bottom], color=MUTED, linewidth=1)
        middle = (top + bottom) / 2
        draw_interval(axes, middle, score, model_style(model, models))
        put_numbers(axes, middle, [column_number(end) for end in score])
    finish_rows(
        axes,
        "normalised score: 0 is the best heuristic, 1 the oracle",
        f"mean over tasks and seeds, with its {percent(data.confidence)} interval over seeds",
    )
    return figure


@styled
def final_scores_figure(data: FinalScores) -> Figure:
    """Draw final scores: a dot for each seed, a bar for the mean, the untrained control hollow."""
    figure, axes = new_axes(*SIZE)
    models = [points.model for points in data.points]
    for place, points in enumerate(data.points):
        _draw_points(axes, place, points, models)
    shown = [s for points in data.points for s in (*points.scores, *points.untrained)]
    set_score_axis(axes, data.y_label, shown, data.ladder, data.higher_is_better)
    axes.set_xlim(-0.6, len(models) - 0.4)
    axes.set_xticks([])
    note_cut(axes, shown)
    _explain_points(axes)
    draw_ladder(axes, data.ladder)
    label_columns(axes, [_tick(points) for points in data.points])
    return figure


def _draw_points(axes: Axes, place: int, points: Points, models: Sequence[str]) -> None:
    style = model_style(points.model, models)
    trained, untrained = place - _TRAINED_LEFT, place + 0.24
    axes.plot(
        _trained_places(place, len(points.scores)),
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


def _trained_places(place: int, count: int) -> FloatArray:
    return _side_by_side(place - _TRAINED_LEFT, count, 0.1)


def _side_by_side(middle: float, count: int, reach: float) -> FloatArray:
    """Return places around a middle, in an order that separates points of similar value."""
    if count < 2:
        return np.full(count, middle)
    places = middle + np.linspace(-reach, reach, count)
    return places[np.argsort(np.arange(count) * 7 % count, kind="stable")]


def _tick(points: Points) -> str:
    label = model_label(points.model)
    return f"{label}\n({seeds(points.num_failed)} failed)" if points.num_failed else label


def _explain_points(axes: Axes) -> None:
    """Add a legend that explains dots and bars, in a colour of no model."""
    for label, options in (
        ("one seed", {"marker": "o", "linestyle": "none", "markeredgewidth": 0}),
        ("mean", {"linewidth": 2.2}),
        ("same network untrained", {"marker": "o", "linestyle": "none", "markerfacecolor": "none"}),
    ):
        axes.plot([], [], color=INK, markersize=5.5, label=label, **options)
    add_legend(axes)


def pictures(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Return a figure of all tasks, if there are intervals, and one for each task."""
    overall = [_overall_picture(race)] if race.overall else []
    return [*overall, *(_picture(place, outcome) for place, outcome in enumerate(race.tasks, 1))]


def _overall_picture(race: RaceOutcome) -> Picture:
    scores = [
        f"{model_label(name)} {number(found.estimate)} ({words.interval(found)})"
        for name, found in race.overall.items()
    ]
    return draw(
        ("overall",),
        file_name("overall"),
        overall_scores_figure(overall_scores(race)),
        f"Mean of normalised scores over all tasks: {'; '.join(scores)}.",
    )


def _picture(place: int, outcome: TaskOutcome) -> Picture:
    return draw(
        ("scores", place),
        task_file(place, outcome, "scores"),
        final_scores_figure(final_scores(outcome)),
        f"{outcome.title}: final test scores. "
        + of_each(outcome, lambda contestant: words.spread(contestant.score)),
        shared_key=True,
        spots=list(_spots(outcome)),
    )


def _spots(outcome: TaskOutcome) -> Iterator[Spot]:
    """Yield the dot of each run that finished, where ``_draw_points`` puts it."""
    for place, contestant in enumerate(outcome.contestants):
        finished = [seed for seed in contestant.seeds if seed.result.score is not None]
        for x, seed in zip(_trained_places(place, len(finished)), finished, strict=True):
            assert seed.result.score is not None
            label = f"{model_label(contestant.model)}, {seed.spec.title}"
            yield Spot(float(x), seed.result.score, seed.spec, label)


def _facts(race: RaceOutcome) -> Mapping[str, object]:
    """Return every challenger's comparison on each task."""
    return {
        "comparisons": [
            {duel.challenger: duel.tasks[place] for duel in race.duels}
            for place in range(len(race.tasks))
        ]
    }


SECTION = Section("scores", "Scores", pictures, _facts)
