"""Stepping ``LSTMCell`` by hand: a memory for one number, with weights that can be read."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from rich.cells import cell_len
from rich.console import Console

from lstm_baseline import LSTM, LSTMCell
from lstm_baseline.demos.base import Demo, say, show_table, tidy
from lstm_baseline.engine.activations import sigmoid, tanh
from lstm_baseline.engine.shapes import FloatArray, Params
from lstm_baseline.plots.palette import BLUE, GREEN, GREY, ORANGE

INPUTS = np.array(
    [  # value, write, read
        [0.3, 0, 0],
        [1.5, 1, 0],
        [-1.0, 0, 0],
        [0.8, 0, 0],
        [0.2, 0, 1],
        [-0.5, 0, 0],
        [0.9, 0, 1],
    ]
)
"""(T, I): a value is written at step 2 and read at steps 5 and 7."""

WEIGHTS: Params = {
    # Forget what is held when something is written, and after something was read (h' is large).
    "W_f": np.array([[0.0, -8.0, 0.0]]),
    "U_f": np.array([[-12.0]]),
    "b_f": np.array([[4.0]]),
    # Let in when told to write.
    "W_i": np.array([[0.0, 8.0, 0.0]]),
    "U_i": np.array([[0.0]]),
    "b_i": np.array([[-4.0]]),
    # What could be let in is the value.
    "W_c": np.array([[1.0, 0.0, 0.0]]),
    "U_c": np.array([[0.0]]),
    "b_c": np.array([[0.0]]),
    # Let out when told to read.
    "W_o": np.array([[0.0, 0.0, 8.0]]),
    "U_o": np.array([[0.0]]),
    "b_o": np.array([[-4.0]]),
}
"""A memory for one number: I = 3, H = 1."""

SHOWN = (1, 4, 5)  # steps of which every equation is printed


class Step(NamedTuple):
    """One time step of the one unit, equation by equation; z is what a gate is computed from."""

    x: FloatArray
    """(I,)."""
    h_prev: float
    c_prev: float
    z_f: float
    z_i: float
    z_c: float
    z_o: float
    f: float
    i: float
    c_tilde: float
    o: float
    c: float
    h: float


class StepByStep(NamedTuple):
    """The numbers that ``compute`` found."""

    steps: list[Step]
    cell_difference: float
    """Largest difference of these h and c from those of ``LSTMCell.forward``."""
    lstm_difference: float
    """Largest difference of these h from the outputs of ``LSTM`` with the same weights."""
    random_difference: float
    """``LSTMCell``, stepped 30 times, against ``LSTM``: random weights, 5 units, 3 rows."""


def step(params: Params, x: FloatArray, h_prev: float, c_prev: float) -> Step:
    """Apply the six equations to one unit and keep every number on the way."""

    def z(gate: str) -> float:
        W, U, b = (params[f"{name}_{gate}"] for name in ("W", "U", "b"))
        return float((W @ x + U @ [h_prev] + b[:, 0])[0])

    z_f, z_i, z_c, z_o = (z(gate) for gate in "fico")
    f, i, o = (float(sigmoid(np.float64(value))) for value in (z_f, z_i, z_o))
    c_tilde = float(tanh(np.float64(z_c)))
    c = f * c_prev + i * c_tilde
    h = o * float(tanh(np.float64(c)))
    return Step(x, h_prev, c_prev, z_f, z_i, z_c, z_o, f, i, c_tilde, o, c, h)


def run_cell(cell: LSTMCell, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Step a cell over (B, T, I); return h and c after every step, (B, T, H)."""
    num_rows, num_steps, _ = x.shape
    h: FloatArray = np.zeros((cell.hidden_size, num_rows))
    c = h
    states = []
    for t in range(num_steps):
        h, c = cell.forward(x[:, t], h, c)
        states.append((h.T, c.T))
    return np.stack([h for h, _ in states], axis=1), np.stack([c for _, c in states], axis=1)


def same_weights(cell: LSTMCell) -> LSTM:
    """Return an LSTM with a cell's weights: the parameters have the same names."""
    model = LSTM(cell.input_size, cell.hidden_size, dtype=cell.dtype)
    model.set_params(cell.get_params())
    return model


def compute() -> StepByStep:
    """Step by hand, by ``LSTMCell`` and by ``LSTM``, and compare."""
    steps: list[Step] = []
    h = c = 0.0
    for x_t in INPUTS:
        steps.append(step(WEIGHTS, x_t, h, c))
        h, c = steps[-1].h, steps[-1].c

    cell = LSTMCell(3, 1, dtype=np.float64)
    cell.set_params(WEIGHTS)
    x = INPUTS[None]
    cell_h, cell_c = run_cell(cell, x)
    by_hand_h = np.array([s.h for s in steps])
    by_hand_c = np.array([s.c for s in steps])

    rng = np.random.default_rng(0)
    random_cell = LSTMCell(3, 5, dtype=np.float64, rng=rng)
    random_x = rng.standard_normal((3, 30, 3))
    random_h, _ = run_cell(random_cell, random_x)
    return StepByStep(
        steps,
        max(_largest(by_hand_h - cell_h[0, :, 0]), _largest(by_hand_c - cell_c[0, :, 0])),
        _largest(by_hand_h - same_weights(cell).forward(x)[0, :, 0]),
        _largest(random_h - same_weights(random_cell).forward(random_x)),
    )


def _largest(differences: FloatArray) -> float:
    return float(np.abs(differences).max())


def what_happens(s: Step) -> str:
    """Name what the gates do in a step: a gate is open above one half."""
    if s.i > 0.5:
        return "writes"
    if s.f < 0.5:
        return "forgets"
    return "reads" if s.o > 0.5 else "holds"


def equations(s: Step) -> list[str]:
    """Return the six equations of a step, with its numbers."""
    lines = (
        ("f = σ(W_f x + U_f h' + b_f)", f"σ({s.z_f:.2f})", s.f),
        ("i = σ(W_i x + U_i h' + b_i)", f"σ({s.z_i:.2f})", s.i),
        ("c̃ = tanh(W_c x + U_c h' + b_c)", f"tanh({s.z_c:.2f})", s.c_tilde),
        ("o = σ(W_o x + U_o h' + b_o)", f"σ({s.z_o:.2f})", s.o),
        ("c = f ⊙ c' + i ⊙ c̃", f"{s.f:.3f}·{s.c_prev:.3f} + {s.i:.3f}·({s.c_tilde:.3f})", s.c),
        ("h = o ⊙ tanh(c)", f"{s.o:.3f}·tanh({s.c:.3f})", s.h),
    )
    return [
        f"{_pad(equation, 30)} = {_pad(numbers, 28)} = {value:6.3f}"
        for equation, numbers, value in lines
    ]


def _pad(text: str, width: int) -> str:
    """Fill up with spaces to a width on the screen, where a combining tilde takes no room."""
    return text + " " * (width - cell_len(text))


def tell(console: Console, numbers: StepByStep) -> None:
    """Print the six equations with their numbers."""
    say(console, "Stepping the cell by hand: a memory for one number", style="bold")
    say(
        console,
        "One hidden unit, three inputs (value, write, read), and weights set by hand: the input "
        "gate opens on write, the output gate on read, and the forget gate shuts on write and "
        "after a read. Primes mark the step before.",
    )
    for t in SHOWN:
        s = numbers.steps[t]
        value, write, read = s.x
        say(
            console,
            f"step {t + 1}: x = ({value:g}, {write:g}, {read:g}), h' = {s.h_prev:.3f}, "
            f"c' = {s.c_prev:.3f}: the cell {what_happens(s)}\n  " + "\n  ".join(equations(s)),
        )
    show_table(
        console,
        ["step", "does", "value", "write", "read", "f", "i", "c̃", "o", "c", "h"],
        [
            [
                str(t + 1),
                what_happens(s),
                f"{s.x[0]:g}",
                f"{s.x[1]:g}",
                f"{s.x[2]:g}",
                *(f"{value:.2f}" for value in (s.f, s.i, s.c_tilde, s.o, s.c, s.h)),
            ]
            for t, s in enumerate(numbers.steps)
        ],
        left=2,
    )
    first, second = (s for s in numbers.steps if what_happens(s) == "reads")
    say(
        console,
        f"The first read gives h = {first.h:.3f}, the second {second.h:.3f}: the forget gate "
        f"looked at h' through U_f and let the cell state go from {first.c:.3f} to {second.c:.3f}.",
    )
    say(
        console,
        f"Largest difference from LSTMCell.forward: {numbers.cell_difference:.1g}; from LSTM with "
        f"the same weights: {numbers.lstm_difference:.1g}; of LSTMCell from LSTM with random "
        f"weights over 30 steps: {numbers.random_difference:.1g}. LSTMCell writes the equations "
        "for reading, LSTM joins the gates' products and runs whole batches.",
    )


def draw(numbers: StepByStep) -> Figure:
    """Draw inputs, gates and states of every step."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    inputs, gates, states = figure.subplots(3, 1, sharex=True)
    t = np.arange(1, len(numbers.steps) + 1)
    x = np.stack([s.x for s in numbers.steps])
    for ax, lines in (
        (inputs, (("value", x[:, 0]), ("write", x[:, 1]), ("read", x[:, 2]))),
        (gates, _fields(numbers, forget="f", input="i", output="o")),
        (states, _fields(numbers, candidate="c_tilde", cell="c", hidden="h")),
    ):
        # Large and dashed below small and solid, so that lines that coincide are both seen.
        for (name, values), color, line in zip(
            lines, (BLUE, ORANGE, GREEN), ("o-", "s-.", "^--"), strict=True
        ):
            size = {BLUE: 10, ORANGE: 7, GREEN: 4}[color]
            ax.plot(t, values, line, color=color, markersize=size, linewidth=size / 3, label=name)
        ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        tidy(ax)
    inputs.set(title="Inputs", ylabel="x")
    gates.set(title="Gates: 0 is shut, 1 is open", ylabel="f, i, o")
    states.set(title="Candidate, cell state and hidden state", ylabel="c̃, c, h")
    states.set_xlabel("time step, and what the cell does")
    states.set_xticks(t, [f"{k}\n{what_happens(s)}" for k, s in zip(t, numbers.steps, strict=True)])
    return figure


def _fields(numbers: StepByStep, **fields: str) -> list[tuple[str, FloatArray]]:
    """Return named series of a step's fields."""
    return [
        (name, np.array([getattr(s, field) for s in numbers.steps]))
        for name, field in fields.items()
    ]


DEMO = Demo(
    "step-by-step",
    "the six equations with their numbers: a cell that writes, holds, reads and forgets",
    compute,
    tell,
    draw,
)
