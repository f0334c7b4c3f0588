"""Speed of learning: share of runs that had reached the threshold at each time."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.plots import formats
from lstm_baseline.plots.drawing import (
    MUTED,
    SIZE,
    add_legend,
    legend_label,
    make_room_below,
    model_style,
    new_axes,
    styled,
    wrapped_label,
)
from lstm_baseline.race.outcomes import ContestantOutcome, RaceOutcome, TaskOutcome
from lstm_baseline.race.race_statistics import share_reached
from lstm_baseline.race.report import words
from lstm_baseline.race.report.sections.section import (
    Picture,
    Section,
    draw,
    of_each,
    task_file,
)


class ReachedCurve(NamedTuple):
    """Share of a contestant's seeds that have reached the threshold."""

    model: str
    times: FloatArray
    """Times at which the share rises, ascending, (K,)."""
    share: FloatArray
    """Share of all seeds from each of these times on, (K,)."""
    end: float
    """End of the budget, up to which the share is known."""
    num_reached: int
    num_seeds: int
    """Number of all seeds, including those that failed."""
    median: float
    """Time at which half of the seeds had reached it; infinite if they never did."""


class ReachedCurves(NamedTuple):
    """Curves of all contestants on a task."""

    x_label: str
    threshold: str
    """The threshold in words."""
    curves: tuple[ReachedCurve, ...]


def reached_curves(outcome: TaskOutcome, against: words.Against = "steps") -> ReachedCurves | None:
    """Return the share of runs that had reached the threshold at each time; None without one.

    A seed that never reached it is censored, not dropped: it stays among those counted until the
    end of its budget. The budget in seconds is that of the seed that took longest.
    """
    if outcome.threshold is None:
        return None
    return ReachedCurves(
        words.TIME_AXES[against],
        f"{formats.number(outcome.threshold)}, {words.threshold_rule(outcome)}",
        tuple(_curve(contestant, against) for contestant in outcome.contestants),
    )


@styled
def reached_figure(data: ReachedCurves) -> Figure:
    """Draw the share as steps up to the end of the budget, and the median as a horizontal line."""
    figure, axes = new_axes(*SIZE)
    models = [curve.model for curve in data.curves]
    for curve in data.curves:
        style = model_style(curve.model, models)
        of = f"{curve.num_reached} of {curve.num_seeds}"
        axes.step(
            [0.0, *curve.times, curve.end],
            [0.0, *curve.share, curve.num_reached / curve.num_seeds],
            where="post",
            color=style.color,
            linestyle=style.dash,
            linewidth=1.8,
            marker=style.marker,
            markersize=4.5,
            markevery=list(range(1, len(curve.times) + 1, max(1, len(curve.times) // 8))),
            label=legend_label(f"{formats.model_label(curve.model)}: {of}"),
            clip_on=False,
        )
    axes.axhline(0.5, color=MUTED, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    axes.set_xlim(0, 1.02 * max([curve.end for curve in data.curves]) or 1.0)
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.set_ylabel("seeds that reached\nthe threshold")
    add_legend(axes)
    axes.set_xlabel(wrapped_label(axes, data.x_label, f"threshold: {data.threshold}"))
    make_room_below(axes)
    return figure


def _curve(contestant: ContestantOutcome, against: str) -> ReachedCurve:
    seeds = contestant.seeds
    times = np.array([seed.steps if against == "steps" else seed.seconds for seed in seeds])
    reached = share_reached(times)
    ends = [
        seed.spec.settings.num_steps if against == "steps" else seed.result.seconds
        for seed in seeds
    ]
    return ReachedCurve(
        contestant.model,
        reached.times,
        reached.share,
        float(max([*ends, *reached.times])),
        int(np.isfinite(times).sum()),
        len(seeds),
        reached.median,
    )


def pictures(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Return two figures for each task that has a threshold: against steps and against seconds."""
    found = [
        _picture(place, outcome, against)
        for place, outcome in enumerate(race.trained, 1)
        for against in words.TIME_AXES
    ]
    return [picture for picture in found if picture is not None]


def _picture(place: int, outcome: TaskOutcome, against: words.Against) -> Picture | None:
    data = reached_curves(outcome, against)
    if data is None:
        return None
    return draw(
        ("reached", place),
        task_file(place, outcome, f"reached-{against}"),
        reached_figure(data),
        f"{outcome.title}: share of runs that had reached the threshold, against {against} of "
        f"training. In the end: {of_each(outcome, words.reached)}",
        shared_key=True,
    )


SECTION = Section("speed", "Speed of learning", pictures)
