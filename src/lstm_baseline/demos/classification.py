"""Sequence classification, (4, 20, 8) -> (4, 3), by a network that is trained on the spot.

The loop in ``train`` is the whole of training by hand: forward, loss, backward, clip, update.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from lstm_baseline import LSTM
from lstm_baseline.demos.base import Demo, say, show_table, tidy
from lstm_baseline.engine.activations import softmax
from lstm_baseline.engine.shapes import FloatArray, IntArray
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.plots.palette import BLACK, BLUE, GREEN, GREY, ORANGE
from lstm_baseline.training import Adam, clip_by_global_norm, cross_entropy

NUM_STEPS, NUM_FEATURES, SYMBOLS = 20, 8, "ABC"
FIRST, SECOND = (0, 5), (8, 14)  # steps in which the two symbols may appear, the end excluded
NUM_UPDATES, BATCH_SIZE, LEARNING_RATE, EVALUATE_EVERY = 200, 32, 0.01, 10
NUM_TEST = 2000
CHANCE, ORDER_BLIND = 1 / 3, 1 / 2  # what guessing scores, among all symbols and among the two


class Classification(NamedTuple):
    """The numbers that ``compute`` measured."""

    before: float
    """Accuracy of the untrained network on fresh sequences."""
    after: float
    """Accuracy of the trained network on the same sequences."""
    updates: IntArray
    """Updates done at each point of the learning curve, (P,)."""
    curve: FloatArray
    """Accuracy at these points, on other fresh sequences, (P,)."""
    x: FloatArray
    """Four sequences, (4, 20, 8)."""
    y: IntArray
    """Their classes, (4,)."""
    probabilities: FloatArray
    """Outputs of the trained network after the last step, (4, 3)."""
    beliefs: FloatArray
    """Its outputs after each step, (4, 20, 3)."""


def sample(size: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
    """Draw noise in which two of three symbols appear; the class is the symbol that came first."""
    rows = np.arange(size)
    x = rng.normal(scale=0.3, size=(size, NUM_STEPS, NUM_FEATURES)).astype(np.float32)
    symbols = rng.permuted(np.tile(np.arange(len(SYMBOLS)), (size, 1)), axis=1)
    x[rows, rng.integers(*FIRST, size), symbols[:, 0]] += 2.0
    x[rows, rng.integers(*SECOND, size), symbols[:, 1]] += 2.0
    return x, symbols[:, 0]


def train(
    model: LSTM, rng: np.random.Generator, validation: tuple[FloatArray, IntArray]
) -> list[float]:
    """Train with Adam; return the accuracy before the first and after every tenth update."""
    optimizer = Adam(model.params)
    curve = [accuracy(model, *validation)]
    for update in range(1, NUM_UPDATES + 1):
        x, y = sample(BATCH_SIZE, rng)
        logits, cache = model.forward_with_cache(x, return_sequences=False)
        _, d_logits = cross_entropy(logits, y)
        gradients = model.backward(d_logits, cache).params
        gradients, _ = clip_by_global_norm(gradients, 1.0)
        optimizer.update(gradients, LEARNING_RATE)
        if update % EVALUATE_EVERY == 0:
            curve.append(accuracy(model, *validation))
    return curve


def accuracy(model: LSTM, x: FloatArray, y: IntArray) -> float:
    """Return the share of sequences whose largest logit is the right class."""
    logits = model.forward(x, return_sequences=False)
    return float(np.mean(logits.argmax(axis=-1) == y))


def compute() -> Classification:
    """Train an LSTM and measure it on sequences that it has never seen."""
    rng = np.random.default_rng(0)
    model = LSTM(NUM_FEATURES, 32, len(SYMBOLS), rng=rng)
    test, validation = sample(NUM_TEST, rng), sample(500, rng)
    with one_thread():
        before = accuracy(model, *test)
        curve = train(model, rng, validation)
        after = accuracy(model, *test)
        x, y = sample(4, np.random.default_rng(3))
        logits = model.forward(x, return_sequences=False)
        beliefs = softmax(model.forward(x))
    return Classification(
        before,
        after,
        np.arange(len(curve)) * EVALUATE_EVERY,
        np.array(curve),
        x,
        y,
        softmax(logits),
        beliefs,
    )


def tell(console: Console, numbers: Classification) -> None:
    """Print what was learned."""
    say(console, "Sequence classification: which symbol came first?", style="bold")
    say(
        console,
        f"A sequence has {NUM_STEPS} steps of {NUM_FEATURES} noisy features. The first three "
        f"features are the symbols A, B and C. Two of them appear, one in steps {FIRST[0] + 1} to "
        f"{FIRST[1]} and one in steps {SECOND[0] + 1} to {SECOND[1]}; the class is the one that "
        "came first. The answer is read after the last step, where only noise is left: without "
        "memory there is nothing to go by.",
    )
    show_table(
        console,
        [f"on {NUM_TEST:,} fresh sequences", "accuracy"],
        [
            ["chance, three classes", f"{CHANCE:.1%}"],
            ["any rule that ignores the order of the steps, at most", f"{ORDER_BLIND:.1%}"],
            ["LSTM before training", f"{numbers.before:.1%}"],
            [f"LSTM after {NUM_UPDATES} updates", f"{numbers.after:.1%}"],
        ],
    )
    say(console, _verdict(numbers))
    say(
        console,
        f"Four more sequences: x {numbers.x.shape} -> logits {numbers.probabilities.shape}, "
        "and their softmax:",
    )
    show_table(
        console,
        ["sequence", "class", "answer", *(f"p({symbol})" for symbol in SYMBOLS)],
        [
            [str(row + 1), SYMBOLS[y], SYMBOLS[p.argmax()], *(f"{value:.3f}" for value in p)]
            for row, (y, p) in enumerate(zip(numbers.y, numbers.probabilities, strict=True))
        ],
        left=3,
    )


def _verdict(numbers: Classification) -> str:
    """Say whether the order was learned, by more than luck would explain."""
    luck = 4 * np.sqrt(0.25 / NUM_TEST)  # four standard errors of an accuracy, at most
    untrained = "" if abs(numbers.before - CHANCE) > luck else " Untrained, it only guesses."
    if numbers.after > ORDER_BLIND + luck:
        return (
            "Trained, the LSTM uses the order: it keeps the first symbol to the end and does not "
            f"let the second one replace it.{untrained}"
        )
    return f"Even trained, the LSTM has not been shown to use the order.{untrained}"


def draw(numbers: Classification) -> Figure:
    """Draw one sequence, what the network believes while it reads it, and the learning curve."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplot_mosaic([["sequence", "curve"], ["belief", "curve"]])
    _draw_sequence(axes["sequence"], axes["belief"], numbers)
    _draw_curve(axes["curve"], numbers)
    return figure


def _draw_sequence(above: Axes, below: Axes, numbers: Classification) -> None:
    steps = np.arange(1, NUM_STEPS + 1)
    for k, (color, marker) in enumerate(zip((BLUE, ORANGE, GREEN), "os^", strict=True)):
        for ax, values in ((above, numbers.x), (below, numbers.beliefs)):
            ax.plot(
                steps, values[0, :, k], color=color, marker=marker, markersize=4, label=SYMBOLS[k]
            )
    above.set(title=f"Sequence 1: {SYMBOLS[numbers.y[0]]} came first", ylabel="feature value")
    above.set_ylim(top=1.4 * numbers.x[0, :, : len(SYMBOLS)].max())  # room for the legend
    above.legend(loc="upper right", fontsize="small", ncols=3, frameon=False)
    below.set(title="What it would answer at each step", ylim=(-0.05, 1.05))
    below.set(xlabel="time step (trained on the answer after the last)", ylabel="probability")
    for ax in (above, below):
        ax.set_xticks([1, 5, 10, 15, 20])
        tidy(ax)


def _draw_curve(ax: Axes, numbers: Classification) -> None:
    ax.plot(numbers.updates, 100 * numbers.curve, color=BLACK, marker="o", markersize=4)
    for share, name, style in (
        (ORDER_BLIND, "most without the order", "--"),
        (CHANCE, "chance", ":"),
    ):
        ax.axhline(100 * share, color=GREY, linestyle=style)
        ax.text(numbers.updates[-1], 100 * share + 1, name, ha="right")
    ax.set(title="Learning", xlabel="updates", ylabel="accuracy on fresh sequences (%)")
    ax.set_ylim(0, 103)
    tidy(ax)


DEMO = Demo(
    "classification",
    "a network learns which of two symbols came first, 20 steps of noise long",
    compute,
    tell,
    draw,
)
