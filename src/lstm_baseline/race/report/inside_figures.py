"""Figures of what goes on inside a trained model: states, gates, gradients over time."""

import itertools
import math
from collections.abc import Sequence
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
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import SequenceModel
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.plots.drawing import (
    FONT_SIZE,
    MUTED,
    PART_STYLES,
    LineStyle,
    add_legend,
    label_places,
    legend_label,
    model_style,
    new_axes,
    styled,
)
from lstm_baseline.plots.formats import model_label
from lstm_baseline.tasks import Task
from lstm_baseline.tasks.metrics import Batch
from lstm_baseline.training.losses import LOSSES

SIZE = (3.7, 2.8)
GRADIENT_SIZE = (5.4, 3.0)
"""Of a figure of one model and of the figure of all, in inches."""
ATTENTION_SIZE = (5.4, 2.0)

_PANELS = ((0.1, 0.54), (0.6, 0.84), (0.865, 0.89))
"""From where to where each panel of attention and their scale reach, in shares of the width."""

_MOST_ROWS = 100
_STATE_LABELS = {"h": "hidden state h", "c": "cell state c"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Quartiles(NamedTuple):
    """Of a quantity over rows at every step, each (T,)."""

    low: FloatArray
    median: FloatArray
    high: FloatArray


class Inside(NamedTuple):
    """What was seen inside one model while it read some test rows of T steps."""

    model: str
    num_rows: int
    states: dict[str, Statistics]
    """By name, after steps 1 … T."""
    gates: dict[str, Statistics]
    """By name, at steps 1 … T."""
    saturation: dict[str, Saturation]
    """By the gate's name, at steps 1 … T."""
    gradient: Quartiles
    """Norm of the gradient of a row's loss at the last step, with respect to the state after steps
    0 … T − 1, step 0 being the initial state."""
    attention: FloatArray | None
    """(T, S+1, S+1) of a relational memory, mean over rows, heads and blocks, None of other models:
    what share of its attention a slot, last the input, gives to each slot and, last, the input."""


def look_inside(name: str, model: SequenceModel, task: Task, seed: int) -> Inside:
    """Let a model read test rows of a seed, all of one length, and record what goes on inside."""
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

    ``models`` are all contestants of the race, whose places give styles; those in data when None.
    """
    figure, axes = new_axes(*GRADIENT_SIZE)
    if models is None:
        models = [inside.model for inside in data]
    for inside in data:
        style = model_style(inside.model, models)
        # What is exactly zero has no place on a logarithmic axis.
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
    """Draw what each memory slot attends to: the input at each step, and all slots on average.

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
    """Return the longest rows, a hundred at most, cut to their length."""
    lengths = np.full(len(batch.x), batch.x.shape[1]) if batch.lengths is None else batch.lengths
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
    """Return a gate's name without the word gate, which the axis says."""
    return gate.removesuffix(" gate")


def _scientific(value: float, _: object) -> str:
    exponent = math.floor(math.log10(value) + 1e-9)
    power = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
    mantissa = round(value / 10**exponent)
    return power if mantissa == 1 else f"{mantissa}·{power}"
