"""Inside the models: states, gates, attention and gradients of trained models over time."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from lstm_baseline.analysis import (
    Saturation,
    Statistics,
    gate_saturation,
    gradient_norms,
    statistics_over_time,
    trace,
)
from lstm_baseline.engine.errors import InputError, LSTMBaselineError
from lstm_baseline.engine.models import LineStyle, SequenceModel
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.plots.drawing import (
    FONT_SIZE,
    MUTED,
    PART_STYLES,
    add_legend,
    label_places,
    legend_label,
    model_style,
    new_axes,
    styled,
)
from lstm_baseline.plots.formats import listing, model_label, number
from lstm_baseline.race.outcomes import ContestantOutcome, RaceOutcome, SeedOutcome, TaskOutcome
from lstm_baseline.race.report.sections.section import Picture, Section, draw, task_file
from lstm_baseline.runs.saved_model import trained_model
from lstm_baseline.tasks import Task
from lstm_baseline.tasks.encoding import last_true
from lstm_baseline.tasks.metrics import Batch
from lstm_baseline.training.losses import LOSSES

SIZE = (3.7, 2.8)
GRADIENT_SIZE = (5.4, 3.0)
"""Sizes of a figure of one model and of the figure of all models, in inches."""
ATTENTION_SIZE = (5.4, 2.0)

_PANELS = ((0.1, 0.54), (0.6, 0.84), (0.865, 0.89))
"""Left and right edges of the two panels of attention and their scale, in shares of the width."""

_MOST_ROWS = 100
_STATE_LABELS = {"h": "hidden state h", "c": "cell state c"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Quartiles(NamedTuple):
    """Quartiles of a quantity over rows at every step, each (T,)."""

    low: FloatArray
    median: FloatArray
    high: FloatArray


class Inside(NamedTuple):
    """Observations inside one model while it read some test rows of T steps."""

    model: str
    num_rows: int
    states: dict[str, Statistics]
    """Statistics of the states by name, after steps 1 … T."""
    gates: dict[str, Statistics]
    """Statistics of the gates by name, at steps 1 … T."""
    saturation: dict[str, Saturation]
    """Saturation of the gates by name, at steps 1 … T."""
    gradient: Quartiles
    """Norm of the gradient of a row's loss at the last step, with respect to the state after steps
    0 … T − 1; step 0 is the initial state."""
    attention: FloatArray | None
    """(T, S+1, S+1), share of its attention that each slot (the last row is the input) gives to
    each slot (the last column is the input): mean over rows, heads and blocks of a relational
    memory. None for other models."""


def look_inside(name: str, model: SequenceModel, task: Task, seed: int) -> Inside:
    """Run a model on test rows of a seed, all of one length, and record its inside."""
    rows = _whole_rows(task.test(seed))
    with one_thread():
        seen = trace(model, rows.x)
        norms = gradient_norms(model, rows.x, _loss_gradient(model, task, rows))
    return Inside(
        name,
        len(rows.x),
        {
            _STATE_LABELS.get(state, state): statistics_over_time(values)
            for state, values in seen.states.items()
        },
        {gate: statistics_over_time(values) for gate, values in seen.gates.items()},
        {gate: gate_saturation(values) for gate, values in seen.gates.items()},
        Quartiles(*np.quantile(norms, (0.25, 0.5, 0.75), axis=0)),
        None if seen.attention is None else seen.attention.mean(axis=(0, 2, 3), dtype=np.float64),
    )


@styled
def states_figure(data: Inside) -> Figure:
    """Draw mean and standard deviation of each state over time."""
    figure, axes = new_axes(*SIZE)
    for style, (name, values) in zip(itertools.cycle(PART_STYLES), data.states.items()):
        x = np.arange(1, len(values.mean) + 1)
        axes.fill_between(
            x,
            values.mean - values.std,
            values.mean + values.std,
            color=style.color,
            alpha=0.2,
            linewidth=0,
        )
        _line(axes, x, values.mean, style, name)
    _finish(axes, "mean ± std")
    return figure


@styled
def gates_figure(data: Inside) -> Figure:
    """Draw the mean of each gate over time."""
    figure, axes = new_axes(*SIZE)
    for style, (name, values) in zip(itertools.cycle(PART_STYLES), data.gates.items()):
        _line(axes, np.arange(1, len(values.mean) + 1), values.mean, style, _short(name))
    axes.set_ylim(-0.03, 1.03)
    _finish(axes, "mean gate value")
    return figure


@styled
def saturation_figure(data: Inside) -> Figure:
    """Draw the share of each gate that is nearly open, upwards, and nearly shut, downwards."""
    figure, axes = new_axes(*SIZE)
    for style, (name, share) in zip(itertools.cycle(PART_STYLES), data.saturation.items()):
        x = np.arange(1, len(share.open) + 1)
        _line(axes, x, share.open, style, _short(name))
        _line(axes, x, -share.shut, style, None)
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([-1, -0.5, 0, 0.5, 1], ["100%", "50%", "0", "50%", "100%"])
    _finish(axes, "← shut   open →")
    return figure


@styled
def gradient_figure(data: Sequence[Inside], models: Sequence[str] | None = None) -> Figure:
    """Draw the gradient's norm against the step of the state, one line for each model.

    ``models`` are all contestants of the race, whose places decide their styles. If None, they are
    those in ``data``.
    """
    figure, axes = new_axes(*GRADIENT_SIZE)
    if models is None:
        models = [inside.model for inside in data]
    for inside in data:
        style = model_style(inside.model, models)
        # Zero has no place on a logarithmic axis.
        low, median, high = (np.where(part > 0, part, np.nan) for part in inside.gradient)
        x = np.arange(len(median))
        axes.fill_between(x, low, high, color=style.color, alpha=0.2, linewidth=0)
        _line(axes, x, median, style, legend_label(model_label(inside.model)))
    if any((inside.gradient.median > 0).any() for inside in data):
        axes.set_yscale("log")
        bottom, top = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < 100 * bottom else (1,)))
        axes.yaxis.set_major_formatter(_scientific)
        axes.minorticks_off()
    else:
        axes.text(
            0.5,
            0.5,
            "exactly zero everywhere",
            transform=axes.transAxes,
            horizontalalignment="center",
        )
    _finish(axes, "gradient norm\nmedian and quartiles", "state after step")
    return figure


@styled
def attention_figure(data: Inside) -> Figure:
    """Draw the attention of each memory slot: to the input at each step, to all slots on average.

    Raises
    ------
    InputError
        If the model has no attention.
    """
    if data.attention is None:
        raise InputError(f"{data.model} has no attention; give what a relational memory showed")
    num_steps, num_rows, _ = data.attention.shape
    to_input, average = data.attention[:, :-1, -1].T, data.attention[:, :-1].mean(axis=0)
    figure, over_time = new_axes(*ATTENTION_SIZE)
    between, scale = figure.add_subplot(), figure.add_subplot()
    for axes, (left, right) in zip((over_time, between, scale), _PANELS, strict=True):
        axes.set_position((left, 0.24, right - left, 0.62))
        axes.spines[:].set_visible(False)
    most = max(to_input.max(), average.max())
    for axes, image, columns in ((over_time, to_input, num_steps), (between, average, num_rows)):
        extent = (0.5, columns + 0.5, num_rows - 0.5, 0.5)
        axes.imshow(image, aspect="auto", interpolation="none", vmin=0, vmax=most, extent=extent)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    over_time.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    over_time.set_title("to the input, step by step", fontsize=FONT_SIZE)
    over_time.set_xlabel("step")
    over_time.set_ylabel("from slot")
    between.set_title("mean over steps", fontsize=FONT_SIZE)
    between.set_xlabel("to slot")
    numbered = range(1, num_rows, math.ceil((num_rows - 1) / 6))
    label_places(between, [*numbered, num_rows], [*map(str, numbered), "input"])
    shades = np.linspace(0, most, 128)[:, None]
    scale.imshow(
        shades, aspect="auto", interpolation="none", extent=(0, 1, 0, most), origin="lower"
    )
    scale.set_xticks([])
    scale.yaxis.set_ticks_position("right")
    scale.yaxis.set_major_locator(MaxNLocator(4))
    scale.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    scale.set_title("share", fontsize=FONT_SIZE)
    return figure


def _whole_rows(batch: Batch) -> Batch:
    """Return the longest rows, at most a hundred, cut to their length: to the last target."""
    lengths = np.full(len(batch.x), batch.x.shape[1]) if batch.lengths is None else batch.lengths
    if batch.mask is not None:
        lengths = last_true(batch.mask) + 1
    length = int(lengths.max())
    rows = np.flatnonzero(lengths == length)[:_MOST_ROWS]
    return Batch(batch.x[rows, :length], batch.y[rows])


def _loss_gradient(model: SequenceModel, task: Task, rows: Batch) -> FloatArray:
    """Return the gradient of each row's own loss at the last step, (B, O)."""
    outputs = model.forward(rows.x, return_sequences=False)
    targets = rows.y[:, rows.x.shape[1] - 1] if task.per_step else rows.y
    _, d_outputs = LOSSES[task.loss](outputs, targets)
    d_each: FloatArray = d_outputs * len(rows.x)  # the loss is a mean over rows
    return d_each


def _line(axes: Axes, x: NDArray, y: FloatArray, style: LineStyle, label: str | None) -> None:
    axes.plot(
        x,
        y,
        color=style.color,
        linestyle=style.dash,
        linewidth=1.6,
        marker=style.marker,
        markersize=4,
        markevery=0.12,
        label=label,
    )


def _finish(axes: Axes, y_label: str, x_label: str = "step") -> None:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(axes)


def _short(gate: str) -> str:
    """Return a gate's name without the word gate, which is on the axis."""
    return gate.removesuffix(" gate")


def _scientific(value: float, _: object) -> str:
    exponent = math.floor(math.log10(value) + 1e-9)
    power = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
    mantissa = round(value / 10**exponent)
    return power if mantissa == 1 else f"{mantissa}·{power}"


def pictures(race: RaceOutcome, runs: Path) -> list[Picture]:
    """Return figures of each contestant's first run that finished, and one of all gradients.

    A model that cannot be shown has a picture that gives the reason.
    """
    found = []
    for place, outcome in enumerate(race.trained, 1):
        seen = []
        for nth, contestant in enumerate(outcome.contestants, 1):
            inside = _look(contestant, runs)
            if isinstance(inside, str):
                found.append(Picture(("inside", place, nth), problem=inside))
                continue
            seen.append(inside)
            found += _model_pictures(place, outcome, nth, inside)
        if seen:
            found.append(_gradient_picture(place, outcome, seen))
    return found


def _look(contestant: ContestantOutcome, runs: Path) -> Inside | str:
    """Look inside a contestant's first run that finished, or return why that is not possible."""
    first = _first_finished(contestant)
    if first is None:
        return "No run finished."
    spec = first.spec
    if not spec.contestant.is_engine_model:
        return "This is no model of the engine: its states and gates are not known here."
    try:
        model = trained_model(spec, runs / spec.name, raw=not first.result.of_earlier_version)
        return look_inside(spec.model, model, spec.task, spec.seed)
    except LSTMBaselineError as error:
        return f"The trained model cannot be shown: {error}."


def _model_pictures(place: int, outcome: TaskOutcome, nth: int, inside: Inside) -> list[Picture]:
    """Return the figures of one model."""
    of = f"{outcome.title}, {model_label(inside.model)}"
    states, gates = (listing(list(names) or [""]) for names in (inside.states, inside.gates))
    drawn = [("state", states_figure, f"{of}: mean and standard deviation of {states} over time.")]
    if inside.gates:
        drawn += [
            ("gates", gates_figure, f"{of}: mean of {gates} over time."),
            (
                "saturation",
                saturation_figure,
                f"{of}: share of {gates} nearly open or nearly shut over time.",
            ),
        ]
    if inside.attention is not None:
        alt = f"{of}: attention of memory slots to each other and to the input."
        drawn.append(("attention", attention_figure, alt))
    return [
        draw(
            ("attention" if kind == "attention" else "inside", place, nth),
            task_file(place, outcome, kind, nth, inside.model),
            figure(inside),
            alt,
            kind.capitalize(),
        )
        for kind, figure, alt in drawn
    ]


def _gradient_picture(place: int, outcome: TaskOutcome, seen: Sequence[Inside]) -> Picture:
    return draw(
        ("gradient", place),
        task_file(place, outcome, "gradient"),
        gradient_figure(seen, [contestant.model for contestant in outcome.contestants]),
        f"{outcome.title}: norm of the loss gradient with respect to the state at every step.",
        "Gradient flow",
        shared_key=True,
    )


def _first_finished(contestant: ContestantOutcome) -> SeedOutcome | None:
    return next((seed for seed in contestant.seeds if seed.result.score is not None), None)


def _title(contestant: ContestantOutcome) -> str:
    """Return the title of a contestant's run that is shown."""
    label, first = model_label(contestant.model), _first_finished(contestant)
    if first is None:
        return label
    return f"{label}, seed {first.spec.seed}, test score {number(first.result.score)}"


def _facts(race: RaceOutcome) -> Mapping[str, object]:
    return {"looked_into": [[_title(c) for c in outcome.contestants] for outcome in race.trained]}


SECTION = Section("inside", "Inside the models", pictures, _facts)
