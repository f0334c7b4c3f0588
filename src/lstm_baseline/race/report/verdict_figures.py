"""Figures of the verdict: the differences that decide, and everyone's score over all tasks."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_baseline.plots import formats
from lstm_baseline.plots.drawing import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    SMALL_FONT_SIZE,
    LineStyle,
    add_legend,
    fit,
    label_places,
    make_room_below,
    model_style,
    new_axes,
    styled,
    wrapped_label,
)
from lstm_baseline.plots.palette import RED
from lstm_baseline.race.judge import Duel, RaceOutcome
from lstm_baseline.race.report import words
from lstm_baseline.race.statistics import Interval
from lstm_baseline.race.verdict import Comparison, Outcome

WIDTH = 6.8
"""Of a figure, in inches."""

_LABELS_WIDTH, _COLUMN_WIDTH = 1.5, 0.72
"""Of titles to the left of the axes and of each column of numbers to their right, in inches."""
_MARGINS = 0.2
"""Above and below together, in inches, where there is neither legend nor label."""
_LINE, _GAP = 0.16, 0.18
"""Height of a line of text and what a row has beside its lines, in inches."""
_BAND = 0.6
"""How much the margin's band covers."""
_LINEAR = 2.0
"""Axes that reach further become logarithmic."""
_OUTCOME_STYLES: dict[Outcome, LineStyle] = {
    "challenger wins": LineStyle(BLUE, "-", ">"),
    "baseline wins": LineStyle(RED, "-", "<"),
    "inconclusive": LineStyle(MUTED, "-", "o"),
}


class Difference(NamedTuple):
    """How far a challenger is ahead of the baseline."""

    title: str
    """Of the task, or of all together."""
    difference: Interval | None
    """Challenger − baseline, in normalised score; None if they are not compared."""
    probability: Interval | None
    """That the challenger is the better one of a pair."""
    outcome: Outcome | None
    reason: str
    """Why they are not compared; empty if they are."""


class Differences(NamedTuple):
    """A challenger against the baseline."""

    challenger: str
    baseline: str
    margin: float
    """The largest difference that would not matter."""
    confidence: float
    """Of the intervals."""
    tasks: tuple[Difference, ...]
    overall: Difference


class OverallScore(NamedTuple):
    """A contestant over all tasks."""

    model: str
    score: Interval | None
    """Interquartile mean of normalised scores; None where there is no interval."""


class OverallScores(NamedTuple):
    """All contestants over all tasks."""

    confidence: float
    """Of the intervals."""
    scores: tuple[OverallScore, ...]
    reason: str
    """Why there are no intervals; empty if there are."""


def differences(race: RaceOutcome, challenger: str) -> Differences:
    """Return what decides between a challenger and the baseline, task by task and over all."""
    duel = next(duel for duel in race.judgement.duels if duel.challenger == challenger)
    rule = race.plan.rule
    return Differences(
        duel.challenger,
        duel.baseline,
        rule.margin,
        1 - rule.level,
        tuple(
            _difference(
                task.title,
                task.comparison,
                "" if task.comparison is not None else words.barrier(task, duel),
            )
            for task in duel.tasks
        ),
        _overall_difference(duel, race.plan.seeds),
    )


def overall_scores(race: RaceOutcome) -> OverallScores:
    """Return everyone's interquartile mean of normalised scores over all tasks and seeds."""
    overall = race.judgement.overall
    reason = ""
    if not overall:
        one_seed = race.plan.seeds == 1
        reason = "one seed has no interval" if one_seed else "no task has room above its heuristics"
    return OverallScores(
        1 - race.plan.rule.level,
        tuple(OverallScore(name, overall.get(name)) for name in race.plan.models),
        reason,
    )


@styled
def differences_figure(data: Differences) -> Figure:
    """Draw each difference with its interval, the margin as a band, P(better) as numbers."""
    rows = [*data.tasks, data.overall]
    shown = [row.difference for row in rows if row.difference is not None]
    head = ("difference", "P(better)") if shown else ()
    figure, axes, edges = _rows(
        [row.title for row in rows], [row.reason for row in rows], head, bold=len(rows) - 1
    )
    reach = 1.05 * max([2 * data.margin, 0.05, *(abs(end) for part in shown for end in part)])
    axes.set_xlim(-reach, reach)
    for row, (top, bottom) in zip(rows, edges, strict=True):
        if row.difference is None or row.probability is None or row.outcome is None:
            continue
        axes.fill_betweenx([top, bottom], -data.margin, data.margin, color=FAINT, alpha=_BAND, lw=0)
        axes.plot([0, 0], [top, bottom], color=MUTED, linewidth=1)
        middle = (top + bottom) / 2
        style = _OUTCOME_STYLES[row.outcome]
        _draw_interval(axes, middle, row.difference, style)
        _put_numbers(
            axes, middle, [_number(row.difference.estimate), f"{row.probability.estimate:.2f}"]
        )
    axes.axhline(edges[-1][0], color=FAINT, linewidth=1)
    if shown:
        _explain(axes, {row.outcome for row in rows}, data.margin)
        _point_both_ways(axes)
    else:
        axes.set_xticks([])
    names = [formats.model_label(name) for name in (data.challenger, data.baseline)]
    _finish(
        axes,
        f"{names[0]} − {names[1]}",
        f"difference in normalised score, with {_percent(data.confidence)} intervals",
    )
    return figure


@styled
def overall_scores_figure(data: OverallScores) -> Figure:
    """Draw everyone's score with its interval; 0 is the best heuristic and 1 the oracle."""
    models = [score.model for score in data.scores]
    figure, axes, edges = _rows(
        [formats.model_label(model) for model in models],
        [data.reason] * len(models),
        () if data.reason else ("score", "from", "to"),
    )
    ends = [end for each in data.scores for end in each.score or ()]
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
        _draw_interval(axes, middle, score, model_style(model, models))
        _put_numbers(axes, middle, [_number(end) for end in score])
    _finish(
        axes,
        "normalised score: 0 is the best heuristic, 1 the oracle",
        f"interquartile mean over tasks and seeds, with its {_percent(data.confidence)} interval",
    )
    return figure


def _difference(title: str, comparison: Comparison | None, reason: str) -> Difference:
    if comparison is None:
        return Difference(title, None, None, None, reason)
    return Difference(
        title, comparison.difference, comparison.probability, comparison.outcome, reason
    )


def _overall_difference(duel: Duel, num_seeds: int) -> Difference:
    count, all_tasks = len(duel.compared), len(duel.tasks)
    title = "all tasks" if count in (0, all_tasks) else f"{formats.counted(count, 'task')} compared"
    if duel.overall is None:
        reason = "one seed is no comparison" if num_seeds == 1 else "there is no task to compare on"
        return _difference(title, None, reason)
    # The race's outcome, which is not the winner's where they failed to learn a task.
    return _difference(title, duel.overall, "")._replace(outcome=duel.outcome)


def _rows(
    titles: Sequence[str], reasons: Sequence[str], head: Sequence[str], bold: int | None = None
) -> tuple[Figure, Axes, list[tuple[float, float]]]:
    """Return axes with a row for each title, and where rows begin and end, in inches from the top.

    A row that has a reason shows it in the place of its interval. The columns of numbers to the
    right have a head.
    """
    right = WIDTH - _COLUMN_WIDTH * len(head) - 0.12
    labels = [fit(title, _LABELS_WIDTH - 0.2) for title in titles]
    notes = [fit(reason, right - _LABELS_WIDTH - 0.2) for reason in reasons]
    edges, top = [], _LINE + _GAP if head else 0.0
    for texts in zip(labels, notes, strict=True):
        bottom = top + _GAP + _LINE * max(text.count("\n") + 1 for text in texts)
        edges.append((top, bottom))
        top = bottom
    figure, axes = new_axes(WIDTH, top + _MARGINS)
    figure.subplots_adjust(
        left=_LABELS_WIDTH / WIDTH,
        right=right / WIDTH,
        bottom=_MARGINS / 2 / (top + _MARGINS),
        top=1 - _MARGINS / 2 / (top + _MARGINS),
    )
    axes.set_ylim(top, 0.0)
    middles = [(start + end) / 2 for start, end in edges]
    axes.set_yticks(middles, labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if bold is not None:
        axes.get_yticklabels()[bold].set_fontweight("bold")
    for middle, note in zip(middles, notes, strict=True):
        axes.text(
            0.5,
            middle,
            note,
            transform=axes.get_yaxis_transform(),
            horizontalalignment="center",
            verticalalignment="center",
            fontstyle="italic",
            color=MUTED,
        )
    _put_numbers(axes, edges[0][0] / 2, head, color=MUTED)
    return figure, axes, edges


def _put_numbers(axes: Axes, y: float, numbers: Sequence[str], color: str = INK) -> None:
    """Write a row of the columns to the right."""
    for k, text in enumerate(numbers):
        axes.annotate(
            text,
            (1.0, y),
            xycoords=axes.get_yaxis_transform(),
            xytext=(72 * _COLUMN_WIDTH * (k + 0.5) + 4, 0),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="center",
            fontsize=SMALL_FONT_SIZE,
            color=color,
            annotation_clip=False,
        )


def _draw_interval(axes: Axes, y: float, interval: Interval, style: LineStyle) -> None:
    axes.plot([interval.low, interval.high], [y, y], color=style.color, linewidth=1.8)
    axes.plot(
        [interval.estimate], [y], color=style.color, marker=style.marker, markersize=7, zorder=3
    )


def _explain(axes: Axes, outcomes: Iterable[Outcome | None], margin: float) -> None:
    """Put a legend of markers and band above."""
    for outcome, style in _OUTCOME_STYLES.items():
        if outcome in outcomes:
            axes.plot([], [], color=style.color, linewidth=1.8, marker=style.marker, label=outcome)
    axes.fill_between([], [], color=FAINT, alpha=_BAND, linewidth=0, label=f"margin ±{margin:g}")
    add_legend(axes)


def _point_both_ways(axes: Axes) -> None:
    """Say below the middle who is better on which side of it."""
    for text, alignment, side in (
        ("← baseline better", "right", -1),
        ("challenger better →", "left", 1),
    ):
        axes.annotate(
            text,
            (0.5, 0.0),
            xycoords="axes fraction",
            xytext=(8 * side, -20),
            textcoords="offset points",
            horizontalalignment=alignment,
            verticalalignment="top",
        )
    axes.xaxis.labelpad = 16


def _finish(axes: Axes, *lines: str) -> None:
    """Write ticks and what the x axis shows; it is logarithmic where a few values are far away."""
    ends = axes.get_xlim()
    if max(map(abs, ends)) > _LINEAR:
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(*ends)
        decades = range(math.ceil(math.log10(max(map(abs, ends)))))
        places = [*(-(10.0**k) for k in reversed(decades)), 0.0, *(10.0**k for k in decades)]
        places = [place for place in places if ends[0] <= place <= ends[1]]
        label_places(axes, places, [f"{place:,g}".replace("-", "−") for place in places])
        lines = (*lines, "logarithmic beyond ±1")
    axes.set_xlabel(wrapped_label(axes, *lines))
    make_room_below(axes)


def _number(value: float) -> str:
    """Return a number of a column: three decimals, or as many digits where it is large."""
    return formats.number(value, like=0.1 if abs(value) < 100 else None)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
