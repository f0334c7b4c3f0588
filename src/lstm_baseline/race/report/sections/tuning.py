"""Tuning: expected best score against number of trials, and score against learning rate."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.plots.drawing import (
    SIZE,
    add_legend,
    axis_label,
    label_places,
    legend_label,
    make_room_below,
    model_style,
    new_axes,
    set_score_axis,
    styled,
    wrapped_label,
)
from lstm_baseline.plots.formats import model_label, number
from lstm_baseline.plots.layout import draw_ladder
from lstm_baseline.race.outcomes import ContestantOutcome, RaceOutcome, TaskOutcome
from lstm_baseline.race.race_statistics import expected_best
from lstm_baseline.race.report import words
from lstm_baseline.race.report.sections import learning_rates
from lstm_baseline.race.report.sections.section import (
    Picture,
    Section,
    draw,
    of_each,
    task_file,
)
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.ladder import is_better


class TuningCurve(NamedTuple):
    """Expected best validation score of a contestant for 1 … n trials."""

    model: str
    expected: FloatArray
    """(n,); NaN if no trial finished and no rule gives the score of chance."""
    seconds: FloatArray
    """Seconds that 1 … n trials spend in training steps on average, (n,)."""
    num_failed: int


class TuningCurves(NamedTuple):
    """Curves of all contestants on a task."""

    y_label: str
    higher_is_better: bool
    curves: tuple[TuningCurve, ...]
    ladder: tuple[Rung, ...]


def tuning_curves(outcome: TaskOutcome) -> TuningCurves | None:
    """Return the expected best score for every number of trials; None if nothing was tuned.

    As in the verdict, a trial counts as at least chance, and a failed trial as chance: leaving it
    out would favour the contestant that fails most. Without a rule, a failure counts as the worst
    score that any contestant's trial had.
    """
    if not any(contestant.trials for contestant in outcome.contestants):
        return None
    floor = _floor(outcome)
    return TuningCurves(
        f"expected best\nvalidation {axis_label(outcome.metric)}",
        outcome.metric.higher_is_better,
        tuple(_curve(each, floor, outcome) for each in outcome.contestants),
        outcome.ladder,
    )


@styled
def tuning_curves_figure(data: TuningCurves) -> Figure:
    """Draw the expected best score against the number of trials, and the ladder."""
    figure, axes = new_axes(*SIZE)
    models = [curve.model for curve in data.curves]
    for curve in data.curves:
        style = model_style(curve.model, models)
        axes.plot(
            np.arange(1, len(curve.expected) + 1),
            curve.expected,
            color=style.color,
            linestyle=style.dash,
            linewidth=1.8,
            marker=style.marker,
            markersize=4.5,
            markevery=max(1, len(curve.expected) // 8),
            label=legend_label(model_label(curve.model)),
        )
    shown = [score for curve in data.curves for score in curve.expected]
    set_score_axis(axes, data.y_label, shown, data.ladder, data.higher_is_better)
    add_legend(axes)
    draw_ladder(axes, data.ladder)
    most = max(len(curve.expected) for curve in data.curves)
    round_numbers = MaxNLocator(8, integer=True).tick_values(1, most)
    ticks = sorted({1.0, *(tick for tick in round_numbers if 1 <= tick <= most)})
    label_places(axes, ticks, [f"{tick:.0f}" for tick in ticks])
    lines = ["number of tuning trials"]
    if any(curve.num_failed for curve in data.curves):
        as_what = "chance" if data.ladder else "the worst score seen"
        lines.append(f"a trial that failed counts as {as_what}")
    axes.set_xlabel(wrapped_label(axes, *lines))
    make_room_below(axes)
    return figure


def _floor(outcome: TaskOutcome) -> float:
    """Return the lowest score that a trial counts as."""
    if outcome.ladder:
        return outcome.ladder[0].score
    scores = [t.score for c in outcome.contestants for t in c.trials if t.score is not None]
    worst = min if outcome.metric.higher_is_better else max
    return worst(scores, default=np.nan)


def _curve(contestant: ContestantOutcome, floor: float, outcome: TaskOutcome) -> TuningCurve:
    trials = contestant.trials
    failed = [trial for trial in trials if trial.score is None]
    scores = np.array(
        [
            trial.score
            if trial.score is not None and is_better(trial.score, floor, outcome.metric)
            else floor
            for trial in trials
        ]
    )
    sign = 1.0 if outcome.metric.higher_is_better else -1.0
    known = scores.size and np.isfinite(scores).all()
    return TuningCurve(
        contestant.model,
        sign * expected_best(sign * scores) if known else np.full(len(trials), np.nan),
        np.arange(1, len(trials) + 1) * np.mean([t.seconds for t in trials] or [0.0]),
        len(failed),
    )


def pictures(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Return the figures of each task, if anything was tuned."""
    found = [
        picture
        for place, outcome in enumerate(race.trained, 1)
        for picture in (_picture(place, outcome), learning_rates.picture(race, place, outcome))
    ]
    return [picture for picture in found if picture is not None]


def _picture(place: int, outcome: TaskOutcome) -> Picture | None:
    data = tuning_curves(outcome)
    if data is None:
        return None
    return draw(
        ("tuning", place),
        task_file(place, outcome, "tuning"),
        tuning_curves_figure(data),
        f"{outcome.title}: expected best validation {outcome.metric.name} against the number of "
        f"tuning trials. Best of all: {of_each(outcome, _best_trial)}",
        shared_key=True,
    )


def _best_trial(contestant: ContestantOutcome) -> str:
    finished = [trial for trial in contestant.trials if trial.score is not None]
    chosen = [trial for trial in finished if words.is_chosen(trial, contestant)]
    return number(chosen[0].score) if chosen else "no trial finished"


def _is_tuned(race: RaceOutcome) -> bool:
    return race.plan.tuning.trials > 0


SECTION = Section("tuning", "Tuning", pictures, is_shown=_is_tuned)
