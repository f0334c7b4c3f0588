"""Initial weights over 100 steps: what reaches the last step, and what comes back."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from lstm_baseline import LSTM
from lstm_baseline.analysis import gate_saturation, gradient_norms, statistics_over_time, trace
from lstm_baseline.demos.base import Demo, say, show_table, tidy
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.plots.palette import BLACK, BLUE, GREEN, ORANGE, RED

NUM_ROWS, NUM_STEPS, INPUT_SIZE, HIDDEN_SIZE = 8, 100, 32, 64
ENDS = 10  # steps at either end that the variance ratio compares


class Setup(NamedTuple):
    """Initial values to compare."""

    name: str
    recurrent_std: float | None
    """Deviation of normal recurrent weights; None for orthogonal ones."""
    forget_bias: float
    color: str


OWN = Setup("orthogonal, forget bias 1", None, 1.0, BLACK)
FORGETFUL = Setup("orthogonal, forget bias 0", None, 0.0, ORANGE)
SETUPS = (
    Setup("orthogonal, forget bias 3", None, 3.0, BLUE),
    OWN,
    FORGETFUL,
    Setup("normal 0.01, forget bias 1", 0.01, 1.0, GREEN),
    Setup("normal 1, forget bias 1", 1.0, 1.0, RED),
)
"""The package's own initial values are ``OWN``."""


class Measured(NamedTuple):
    """The numbers of one setup."""

    setup: Setup
    variance: FloatArray
    """Variance of h over rows and units at each step, (100,)."""
    gradient: FloatArray
    """Median over rows of ‖dL/d(h, c)‖ before each step, relative to the last step's, (100,)."""
    shut: float
    """Share of the forget gate's values below 0.1."""
    open: float
    """Share of the forget gate's values above 0.9."""
    finite: bool
    """True if no state and no gradient is NaN or infinite."""

    @property
    def variance_ratio(self) -> float:
        """Mean variance of h over the last ten steps, divided by that over the first ten."""
        return float(self.variance[-ENDS:].mean() / self.variance[:ENDS].mean())

    @property
    def factor_per_step(self) -> float:
        """Factor of the gradient in each step back, as a geometric mean."""
        return float(self.gradient[0] ** (1 / (NUM_STEPS - 1)))


def build(setup: Setup) -> LSTM:
    """Return an LSTM with these initial values; everything else is the same for each setup."""
    model = LSTM(INPUT_SIZE, HIDDEN_SIZE, rng=0)
    if setup.recurrent_std is not None:
        U = model.params["U"]
        U[...] = np.random.default_rng(1).normal(scale=setup.recurrent_std, size=U.shape)
    model.params["b"][:HIDDEN_SIZE] = setup.forget_bias  # the forget gate's rows come first
    return model


def measure(setup: Setup, x: FloatArray, d_last: FloatArray) -> Measured:
    """Run forward and backward over x, (B, 100, I), from a gradient at the last output, (B, H)."""
    model = build(setup)
    traced = trace(model, x)
    norms = gradient_norms(model, x, d_last)
    saturation = gate_saturation(traced.gates["forget gate"])
    return Measured(
        setup,
        statistics_over_time(traced.states["h"]).variance,
        np.median(norms / norms[:, -1:], axis=0),
        float(saturation.shut.mean()),
        float(saturation.open.mean()),
        bool(np.isfinite(traced.states["c"]).all() and np.isfinite(norms).all()),
    )


def compute() -> list[Measured]:
    """Measure every setup on the same inputs."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((NUM_ROWS, NUM_STEPS, INPUT_SIZE)).astype(np.float32)
    d_last = rng.standard_normal((NUM_ROWS, HIDDEN_SIZE)).astype(np.float32)
    with one_thread():
        return [measure(setup, x, d_last) for setup in SETUPS]


def tell(console: Console, numbers: list[Measured]) -> None:
    """Print what differs between the setups."""
    say(console, f"Why initial weights matter over {NUM_STEPS} steps", style="bold")
    say(
        console,
        f"Untrained LSTMs with {INPUT_SIZE} inputs and {HIDDEN_SIZE} hidden units read "
        f"{NUM_ROWS} rows of noise, {NUM_STEPS} steps long. They differ in the recurrent weights "
        f"and in the forget bias alone; '{OWN.name}' is how this package starts. Variance ratio: "
        f"that of h over the last {ENDS} steps, divided by that over the first {ENDS}. Gradient: "
        "what is left at step 1 of the gradient of a loss at the last step, median over rows.",
    )
    show_table(
        console,
        ["setup", "variance\nratio", "gradient\nleft", "factor a\nstep back", "shut", "open"],
        [
            [
                one.setup.name,
                f"{one.variance_ratio:.2f}",
                f"{one.gradient[0]:.1e}",
                f"{one.factor_per_step:.2f}",
                f"{one.shut:.0%}",
                f"{one.open:.0%}",
            ]
            for one in numbers
        ],
    )
    say(
        console,
        "normal: recurrent weights are normal numbers of that deviation. Shut, open: forget gate "
        "values below 0.1 and above 0.9.",
    )
    say(console, _verdict({one.setup: one for one in numbers}))


def fate(one: Measured) -> str:
    """Say in words what happens to a gradient on its way back."""
    rate = math.log2(one.factor_per_step) if one.factor_per_step > 0 else -math.inf
    if math.isinf(rate):
        return "is gone"
    if abs(rate) * NUM_STEPS < 1:
        return "keeps its size, within a factor of 2"
    return f"{'halves' if rate < 0 else 'doubles'} every {1 / abs(rate):.1f} steps"


def _verdict(by_setup: dict[Setup, Measured]) -> str:
    """Say what each end of the table shows, and what the variance does not."""
    numbers = list(by_setup.values())
    ratios = [one.variance_ratio for one in numbers]
    left = [one.gradient[0] for one in numbers]
    own = by_setup[OWN]
    forgetful = by_setup[FORGETFUL]
    finite = all(one.finite for one in numbers)
    forward, back = max(ratios) / min(ratios), max(left) / min(left)
    lesson = (
        "So the variance of h does not tell how well early steps can be learned from. "
        if back > 1000 * forward
        else ""
    )
    return (
        f"Going forward, the largest variance ratio is {forward:.1f} times the smallest; going "
        f"back, the largest gradient is {back:.0e} times the smallest. {lesson}"
        f"With '{OWN.name}' the gradient {fate(own)}, with '{FORGETFUL.name}' it "
        f"{fate(forgetful)}: over {NUM_STEPS} steps the one bias leaves "
        f"{own.gradient[0] / forgetful.gradient[0]:.0e} times as much as the other. "
        f"{'No' if finite else 'Some'} state or gradient is NaN or infinite."
    )


def draw(numbers: list[Measured]) -> Figure:
    """Draw gradient and variance over time, and how saturated the forget gate is."""
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    gradient, variance, saturation = figure.subplots(1, 3)
    steps = np.arange(1, NUM_STEPS + 1)
    styles = ("-", "-", "--", "-.", ":")
    for one, style in zip(numbers, styles, strict=True):
        line = {"color": one.setup.color, "linestyle": style, "label": one.setup.name}
        gradient.semilogy(steps, one.gradient, **line)
        variance.plot(steps, one.variance, **line)
    gradient.set(title="Going back", xlabel="time step", ylabel="gradient norm / last step's")
    variance.set(title="Going forward", xlabel="time step", ylabel="variance of h")
    variance.set_ylim(bottom=0)
    _draw_saturation(saturation, numbers)
    for ax in (gradient, variance, saturation):
        tidy(ax)
    handles, names = gradient.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def _draw_saturation(ax: Axes, numbers: list[Measured]) -> None:
    """Draw a bar for each setup, in the colour of its lines."""
    rows = np.arange(len(numbers))[::-1]
    shut = [-100 * one.shut for one in numbers]
    open_ = [100 * one.open for one in numbers]
    colors = [one.setup.color for one in numbers]
    ax.barh(rows, open_, color=colors)
    ax.barh(rows, shut, color=colors, hatch="////", edgecolor="white")
    ax.axvline(0, color=BLACK, linewidth=0.8)
    ax.set(title="Forget gate", xlim=(-100, 100))
    ax.set_yticks(rows, [one.setup.name.replace(", ", ",\n") for one in numbers])
    ax.set_xticks([-100, -50, 0, 50, 100], ["100", "50", "0", "50", "100"])
    ax.set_xlabel("nearly shut ← values (%) → nearly open")


DEMO = Demo(
    "initialisation",
    "recurrent weights and forget bias decide whether a gradient lives 100 steps",
    compute,
    tell,
    draw,
)
