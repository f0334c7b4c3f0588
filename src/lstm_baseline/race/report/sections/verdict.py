"""The verdict: what was decided task by task, and the differences that decided it."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_baseline.engine.models import LineStyle
from lstm_baseline.engine.wording import counted
from lstm_baseline.plots import formats
from lstm_baseline.plots.drawing import FAINT, INK, MUTED, add_legend, styled
from lstm_baseline.race.outcomes import Comparison, Duel, RaceOutcome
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
from lstm_baseline.race.report.sections.section import Picture, Section, draw, file_name
from lstm_baseline.race.report.standing import matrix, standings
from lstm_baseline.race.verdict import TaskVerdict

_BAND = 0.6
"""Opacity of the margin's band."""
_STYLES: dict[TaskVerdict, LineStyle] = {
    "challenger better": LineStyle(INK, "-", ">"),
    "baseline better": LineStyle(INK, "-", "<"),
    "equivalent": LineStyle(INK, "-", "s"),
    "undecided": LineStyle(MUTED, "-", "o"),
}
"""Styles of verdicts, in none of the contestants' colours."""
_DESCRIBES = LineStyle(MUTED, "-", "|")
"""Style of the mean over tasks, by which nothing is decided."""


class Difference(NamedTuple):
    """Difference between a challenger and the baseline."""

    title: str
    """Title of the task, or of all tasks together."""
    difference: Interval | None
    """Challenger − baseline, in normalised score; None if they are not compared."""
    probability: Interval | None
    """Probability that the challenger is the better one of a pair."""
    verdict: TaskVerdict | None
    """None if they are not compared, or nothing is decided by it."""
    reason: str
    """Reason why they are not compared; empty if they are."""


class Differences(NamedTuple):
    """Differences between a challenger and the baseline."""

    challenger: str
    baseline: str
    margin: float
    """Largest difference that would not matter."""
    confidence: float
    """Confidence of the intervals."""
    tasks: tuple[Difference, ...]
    overall: Difference | None
    """Mean over the tasks that are compared; None if that is one task."""
    reach: float
    """How far the axis goes both ways: the same for every challenger of a race."""


def differences(race: RaceOutcome, challenger: str) -> Differences:
    """Return the differences between a challenger and the baseline, on each task and over all."""
    duel = next(duel for duel in race.duels if duel.challenger == challenger)
    rule = race.plan.rule
    ends = [
        abs(end)
        for each in race.duels
        for task in each.compared
        if task.evidence is not None
        for end in task.evidence.difference
        if math.isfinite(end)
    ]
    return Differences(
        duel.challenger,
        duel.baseline,
        rule.margin,
        1 - rule.level,
        tuple(
            _difference(task, "" if task.evidence is not None else words.barrier(task))
            for task in duel.tasks
        ),
        _overall_difference(duel, race.plan.seeds),
        1.05 * max([2 * rule.margin, 0.05, *ends]),
    )


@styled
def differences_figure(data: Differences) -> Figure:
    """Draw each difference with its interval, the margin as a band, P(better) as numbers."""
    rows = [*data.tasks, *([] if data.overall is None else [data.overall])]
    shown = [row.difference for row in rows if row.difference is not None]
    bold = None if data.overall is None else len(rows) - 1
    head = ("difference", "P(better)") if shown else ()
    figure, axes, edges = interval_rows(
        [row.title for row in rows], [row.reason for row in rows], head, bold
    )
    axes.set_xlim(-data.reach, data.reach)
    for row, (top, bottom) in zip(rows, edges, strict=True):
        if row.difference is None:
            continue
        axes.fill_betweenx([top, bottom], -data.margin, data.margin, color=FAINT, alpha=_BAND, lw=0)
        axes.plot([0, 0], [top, bottom], color=MUTED, linewidth=1)
        middle = (top + bottom) / 2
        style = _DESCRIBES if row.verdict is None else _STYLES[row.verdict]
        draw_interval(axes, middle, row.difference, style)
        share = "" if row.probability is None else f"{row.probability.estimate:.2f}"
        put_numbers(axes, middle, [column_number(row.difference.estimate), share])
    if data.overall is not None:
        axes.axhline(edges[-1][0], color=FAINT, linewidth=1)
    if shown:
        _explain(axes, {row.verdict for row in rows}, data.margin)
        _point_both_ways(axes)
    else:
        axes.set_xticks([])
    names = [formats.model_label(name) for name in (data.challenger, data.baseline)]
    finish_rows(
        axes,
        f"{names[0]} − {names[1]}",
        f"difference in normalised score, with {percent(data.confidence)} intervals",
    )
    return figure


def _difference(task: Comparison, reason: str) -> Difference:
    if task.evidence is None:
        return Difference(task.title, None, None, None, reason)
    return Difference(
        task.title, task.evidence.difference, task.evidence.probability, task.verdict, reason
    )


def _overall_difference(duel: Duel, num_seeds: int) -> Difference | None:
    count, all_tasks = len(duel.compared), len(duel.tasks)
    if count == 1:
        return None  # it would say the same again
    title = "mean of all" if count in (0, all_tasks) else f"mean of {counted(count, 'task')}"
    if duel.overall is None:
        reason = "one seed is no comparison" if num_seeds == 1 else "there is no task to compare on"
        return Difference(title, None, None, None, reason)
    return Difference(title, duel.overall.mean, None, None, "")


def _explain(axes: Axes, verdicts: Iterable[TaskVerdict | None], margin: float) -> None:
    """Put a legend of markers and band above the axes."""
    for verdict, style in _STYLES.items():
        if verdict in verdicts:
            axes.plot([], [], color=style.color, linewidth=1.8, marker=style.marker, label=verdict)
    axes.fill_between([], [], color=FAINT, alpha=_BAND, linewidth=0, label=f"margin ±{margin:g}")
    add_legend(axes)


def _point_both_ways(axes: Axes) -> None:
    """Write below the middle which contestant is better on each side of it."""
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


def pictures(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Return a figure for each challenger that is compared with the baseline at all."""
    return [
        _picture(race, place, duel) for place, duel in enumerate(race.duels, 1) if duel.compared
    ]


def _picture(race: RaceOutcome, place: int, duel: Duel) -> Picture:
    found = [
        f"{task.title} {words.difference(task.evidence.difference.estimate)} "
        f"({words.interval(task.evidence.difference)})"
        for task in duel.compared
        if task.evidence is not None
    ]
    return draw(
        ("differences", place),
        file_name("differences", place, duel.challenger),
        differences_figure(differences(race, duel.challenger)),
        f"Normalised score of {formats.the(duel.challenger)} minus that of "
        f"{formats.the(duel.baseline)}: {'; '.join(found)}.",
    )


def _facts(race: RaceOutcome) -> Mapping[str, object]:
    sizes = _sizes(race)
    return {
        "sizes": sizes,
        "difference": max(max(size) / min(size) - 1 for size in sizes),
        "standings": standings(race),
        "matrix": matrix(race),
    }


def _sizes(race: RaceOutcome) -> list[list[int]]:
    """Return for each task how much every contestant has of what the race makes equal."""
    plan = race.plan
    if plan.match == "parameters":
        return [[each.num_params for each in outcome.contestants] for outcome in race.trained]
    return [
        [each.size(task, plan.width(task, each), plan.match) for each in plan.contestants]
        for task in plan.tasks
    ]


SECTION = Section("verdict", "Verdict", pictures, _facts)
