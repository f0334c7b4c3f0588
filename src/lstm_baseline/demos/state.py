"""State kept over 30 steps: one call, 30 calls and three calls give the same numbers."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from lstm_baseline import LSTM
from lstm_baseline.analysis import Trace, trace
from lstm_baseline.demos.base import Demo, say, show_table, tidy
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.plots.palette import BLUE, GREY, ORANGE

NUM_ROWS, NUM_STEPS, CHUNK, NUM_SYMBOLS = 4, 30, 10, 8
CHUNKS = [slice(start, start + CHUNK) for start in range(0, NUM_STEPS, CHUNK)]


class StateKept(NamedTuple):
    """Numbers that ``compute`` measured; a difference is the largest over all numbers."""

    whole_shape: tuple[int, ...]
    """Shape of the outputs of one call, (4, 30, 16)."""
    steps_difference: float
    """Outputs and last state of 30 ``step`` calls against one call of ``forward``."""
    chunks_difference: float
    """Largest difference of three calls that hand the state on."""
    reset_difference: float
    """Largest difference of three calls that start from zero."""
    real_inputs_difference: float
    """Largest difference of 30 ``step`` calls on one row of real numbers, with other rounding."""
    kept: dict[str, FloatArray]
    """Mean norm over rows of "h" and "c" after each step, (30,)."""
    reset: dict[str, FloatArray]
    """Outputs when the state is set to zero after steps 10 and 20."""
    distance: FloatArray
    """Mean over rows of ‖h kept − h reset‖ after each step, (30,)."""


Run = tuple[FloatArray, FloatArray, FloatArray]
"""Outputs (B, T, H), last h and c (B, H)."""


def in_one_call(model: LSTM, x: FloatArray) -> Run:
    """Run over the whole sequence at once."""
    outputs, h, c = model.forward(x, return_state=True)
    return outputs, h, c


def step_by_step(model: LSTM, x: FloatArray) -> Run:
    """Run with one call of ``step`` for each time step."""
    outputs, state = [], None
    for t in range(x.shape[1]):
        y_t, state = model.step(x[:, t], state)
        outputs.append(y_t)
    assert state is not None
    return np.stack(outputs, axis=1), state.h, state.c


def in_chunks(model: LSTM, x: FloatArray, *, keep_state: bool = True) -> Run:
    """Run over ten steps at a time, handing the state on or not."""
    outputs, state = [], None
    for chunk in CHUNKS:
        y, h, c = model.forward(x[:, chunk], return_state=True, initial_state=state)
        outputs.append(y)
        state = (h, c) if keep_state else None
    return np.concatenate(outputs, axis=1), h, c


def difference(a: Run, b: Run) -> float:
    """Return the largest absolute difference of two runs."""
    return max(float(np.abs(p - q).max()) for p, q in zip(a, b, strict=True))


def compute() -> StateKept:
    """Run the same sequences in one piece, in steps, in chunks, and with the state reset."""
    rng = np.random.default_rng(0)
    model = LSTM(NUM_SYMBOLS, 16, rng=rng)
    symbols = rng.integers(NUM_SYMBOLS, size=(NUM_ROWS, NUM_STEPS))
    x = np.eye(NUM_SYMBOLS, dtype=np.float32)[symbols]
    reals = rng.standard_normal((1, NUM_STEPS, NUM_SYMBOLS)).astype(np.float32)
    with one_thread():
        whole = in_one_call(model, x)
        kept = trace(model, x)
        pieces = [trace(model, x[:, chunk]) for chunk in CHUNKS]
        h_reset = np.concatenate([piece.states["h"] for piece in pieces], axis=1)
        return StateKept(
            whole[0].shape,
            difference(whole, step_by_step(model, x)),
            difference(whole, in_chunks(model, x)),
            difference(whole, in_chunks(model, x, keep_state=False)),
            difference(in_one_call(model, reals), step_by_step(model, reals)),
            _mean_norms([kept]),
            _mean_norms(pieces),
            np.linalg.norm(kept.states["h"] - h_reset, axis=-1).mean(axis=0),
        )


def _mean_norms(pieces: list[Trace]) -> dict[str, FloatArray]:
    """Return the mean norm over rows of each state, over the steps of all pieces."""
    return {
        name: np.concatenate(
            [np.linalg.norm(piece.states[name], axis=-1).mean(axis=0) for piece in pieces]
        )
        for name in ("h", "c")
    }


def tell(console: Console, numbers: StateKept) -> None:
    """Print what state does."""
    say(console, f"State kept over {NUM_STEPS} steps", style="bold")
    say(
        console,
        f"{NUM_ROWS} streams of {NUM_STEPS} symbols run through one LSTM, outputs "
        f"{numbers.whole_shape}. What it knows of the past is its state (h, c), so a stream may "
        "be cut anywhere, as long as the state is handed on:",
    )
    chunks = f"{len(CHUNKS)} calls of {CHUNK} steps"
    show_table(
        console,
        ["against one call of forward: outputs and last state", "largest difference"],
        [
            [f"{NUM_STEPS} calls of step", f"{numbers.steps_difference:.3g}"],
            [
                f"{chunks}, state handed on",
                f"{numbers.chunks_difference:.3g}",
            ],
            [
                f"{chunks}, state reset",
                f"{numbers.reset_difference:.3g}",
            ],
        ],
    )
    say(console, _exactness(numbers))
    say(
        console,
        f"The state over time, mean over streams; the reset sets it to zero after step {CHUNK} "
        f"and after step {2 * CHUNK}:",
    )
    show_table(
        console,
        ["step", "|h| kept", "|c| kept", "|h| reset", "|c| reset", "|h kept - h reset|"],
        [
            [
                str(t + 1),
                *(f"{numbers.kept[name][t]:.3f}" for name in "hc"),
                *(f"{numbers.reset[name][t]:.3f}" for name in "hc"),
                f"{numbers.distance[t]:.3f}",
            ]
            for t in (0, 4, 9, 10, 11, 14, 19, 20, 21, 24, 29)
        ],
    )
    first, last = numbers.distance[CHUNK], numbers.distance[2 * CHUNK - 1]
    fate = "fades" if last < first else "does not fade"
    say(
        console,
        f"One step after the first reset h is off by {first:.3f}, after {CHUNK} steps by "
        f"{last:.3f}: the loss of the past {fate} as new symbols come in. How long a past "
        "matters is up to the forget gates; these are untrained.",
    )


def _exactness(numbers: StateKept) -> str:
    """Say whether the runs agreed, and when they need not."""
    largest = max(numbers.steps_difference, numbers.chunks_difference)
    if largest == 0:
        agreed = "With the state handed on, not one bit differs."
    else:
        agreed = f"With the state handed on, the runs differ by up to {largest:.2g}."
    if numbers.real_inputs_difference == 0:
        return f"{agreed} The same holds here for one row of real numbers as inputs."
    return (
        f"{agreed} The symbols are one-hot, so W x has nothing to round. For one row of real "
        "numbers the linear algebra library may add up W x in another order when it is given one "
        f"step rather than {NUM_STEPS}: the largest difference is then "
        f"{numbers.real_inputs_difference:.2g}."
    )


def draw(numbers: StateKept) -> Figure:
    """Draw the norms of h and c with the state kept and reset, and how far h is off."""
    figure = Figure(figsize=(8, 6.5), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    steps = np.arange(1, NUM_STEPS + 1)
    for ax, name, title in zip(axes, "hc", ("Hidden state", "Cell state"), strict=False):
        ax.plot(steps, numbers.kept[name], color=BLUE, marker="o", markersize=4, label="kept")
        ax.plot(
            steps,
            numbers.reset[name],
            color=ORANGE,
            marker="s",
            markersize=4,
            linestyle="--",
            label=f"reset after steps {CHUNK} and {2 * CHUNK}",
        )
        ax.set(title=title, ylabel=f"‖{name}‖")
    axes[0].legend(loc="lower right", ncols=2, fontsize="small")
    axes[2].plot(steps, numbers.distance, color=ORANGE, marker="s", markersize=4, linestyle="--")
    axes[2].set(title="How far the reset puts h off", ylabel="‖h kept − h reset‖")
    axes[2].set(xlabel="time step", xticks=[1, 5, 10, 15, 20, 25, 30])
    for ax in axes:
        ax.set_ylim(bottom=0)
        for cut in (CHUNK, 2 * CHUNK):
            ax.axvline(cut + 0.5, color=GREY, linestyle=":")
        tidy(ax)
    return figure


DEMO = Demo(
    "state",
    "one call, 30 steps or three chunks give the same bits; what a reset loses",
    compute,
    tell,
    draw,
)
