"""Size and cost: what each contestant needs, and whether that buys a better score."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.figure import Figure

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
    note_cut,
    set_score_axis,
    styled,
    wrapped_label,
)
from lstm_baseline.plots.formats import count, duration, listing, model_label
from lstm_baseline.plots.layout import draw_ladder
from lstm_baseline.race.outcomes import ContestantOutcome, RaceOutcome, SeedOutcome, TaskOutcome
from lstm_baseline.race.report.sections.section import (
    Picture,
    Section,
    Spot,
    draw,
    of_each,
    task_file,
)
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.ladder import is_better

Against = Literal["parameters", "state", "seconds"]
_AXES: dict[Against, str] = {
    "parameters": "trainable parameters",
    "state": "numbers carried from step to step",
    "seconds": "seconds of training, on one core",
}


class Costs(NamedTuple):
    """Final scores of a contestant, and what they cost."""

    model: str
    costs: FloatArray
    """(n,); of runs that finished and whose cost is known."""
    scores: FloatArray
    """(n,)."""
    runs: tuple[SeedOutcome, ...]
    on_front: bool
    """True if no other contestant has a better mean score at no more cost."""


class ScoreAgainstCost(NamedTuple):
    """Costs of all contestants on a task."""

    x_label: str
    y_label: str
    higher_is_better: bool
    contestants: tuple[Costs, ...]
    ladder: tuple[Rung, ...]


def score_against_cost(outcome: TaskOutcome, against: Against) -> ScoreAgainstCost | None:
    """Return scores and costs of a task; None if fewer than two contestants have both."""
    means = {
        each.model: (cost, each.score.mean)
        for each in outcome.contestants
        if (cost := _mean_cost(each, against)) is not None and each.score is not None
    }
    if len(means) < 2:
        return None
    return ScoreAgainstCost(
        _AXES[against],
        f"test {axis_label(outcome.metric)}",
        outcome.metric.higher_is_better,
        tuple(
            _costs(each, against, on_front=_on_front(each.model, means, outcome))
            for each in outcome.contestants
        ),
        outcome.ladder,
    )


def _costs(contestant: ContestantOutcome, against: Against, *, on_front: bool) -> Costs:
    runs = tuple(
        seed
        for seed in contestant.seeds
        if seed.result.score is not None and _cost(seed, against) is not None
    )
    return Costs(
        contestant.model,
        np.array([_cost(seed, against) for seed in runs], np.float64),
        np.array([seed.result.score for seed in runs], np.float64),
        runs,
        on_front,
    )


def _cost(seed: SeedOutcome, against: Against) -> float | None:
    if against == "seconds":
        return seed.result.seconds or None
    return seed.result.num_params if against == "parameters" else seed.result.state_size


def _mean_cost(contestant: ContestantOutcome, against: Against) -> float | None:
    if against == "parameters":
        return contestant.num_params
    if against == "state":
        return contestant.state_size
    seconds = contestant.training_seconds
    return None if seconds is None or seconds.mean == 0 else seconds.mean


def _on_front(model: str, means: Mapping[str, tuple[float, float]], outcome: TaskOutcome) -> bool:
    """Return whether nobody is better at no more cost, or as good at less (Pareto)."""
    if model not in means:
        return False
    cost, score = means[model]
    return not any(
        (other_cost <= cost and is_better(other_score, score, outcome.metric))
        or (other_cost < cost and other_score == score)
        for other_cost, other_score in means.values()
    )


@styled
def score_against_cost_figure(data: ScoreAgainstCost) -> Figure:
    """Draw a dot for each final run, and the mean of those on the Pareto front ringed."""
    figure, axes = new_axes(*SIZE)
    axes.set_xscale("log")
    models = [each.model for each in data.contestants]
    for each in data.contestants:
        style = model_style(each.model, models)
        dots: dict[str, Any] = {"color": style.color, "marker": style.marker, "linestyle": "none"}
        label = legend_label(model_label(each.model))
        axes.plot(
            each.costs, each.scores, markersize=5, markeredgewidth=0, alpha=0.6, label=label, **dots
        )
        if each.on_front and len(each.runs):
            middle = [each.costs.mean()], [each.scores.mean()]
            ring = {"markersize": 12, "markerfacecolor": "none", "markeredgewidth": 1.6}
            axes.plot(*middle, **dots | {"marker": "o"} | ring)
    shown = [score for each in data.contestants for score in each.scores]
    costs = np.concatenate([each.costs for each in data.contestants])
    axes.set_xlim(costs.min() / 1.25, costs.max() * 1.25)
    set_score_axis(axes, data.y_label, shown, data.ladder, data.higher_is_better)
    note_cut(axes, shown)
    add_legend(axes)
    draw_ladder(axes, data.ladder)
    ticks = _ticks(costs.min(), costs.max())
    axes.minorticks_off()
    label_places(axes, ticks, [f"{tick:,g}" for tick in ticks])
    axes.set_xlabel(
        wrapped_label(axes, data.x_label, "ringed: nobody is better on average for no more")
    )
    make_room_below(axes)
    return figure


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers over a range on a logarithmic axis."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [float(f"{k * d:.3g}") for d in decades for k in steps]
        ticks = [tick for tick in ticks if low / 1.2 <= tick <= high * 1.2]
        if len(ticks) >= 3:
            return ticks
    return sorted({float(f"{low:.2g}"), float(f"{high:.2g}")})


def pictures(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Return figures for each task: against every cost but the one that the race makes equal."""
    found = [
        _picture(place, outcome, against)
        for place, outcome in enumerate(race.trained, 1)
        for against in _AXES
        if against != race.plan.match
    ]
    return [picture for picture in found if picture is not None]


def _picture(place: int, outcome: TaskOutcome, against: Against) -> Picture | None:
    data = score_against_cost(outcome, against)
    if data is None:
        return None
    front = [model_label(each.model) for each in data.contestants if each.on_front]
    return draw(
        ("cost", place),
        task_file(place, outcome, f"score-against-{against}"),
        score_against_cost_figure(data),
        f"{outcome.title}: test {outcome.metric.name} against {data.x_label}. "
        f"{of_each(outcome, lambda each: _needs(each, against))} "
        f"On the Pareto front: {listing(front)}.",
        shared_key=True,
        spots=[
            Spot(float(x), float(y), seed.spec, f"{model_label(each.model)}, {seed.spec.title}")
            for each in data.contestants
            for x, y, seed in zip(each.costs, each.scores, each.runs, strict=True)
        ],
    )


def _needs(contestant: ContestantOutcome, against: Against) -> str:
    if against == "parameters":
        return count(contestant.num_params)
    if against == "state":
        return count(contestant.state_size)
    seconds = contestant.training_seconds
    return duration(None if seconds is None else seconds.mean)


SECTION = Section("cost", "Size and cost", pictures)
