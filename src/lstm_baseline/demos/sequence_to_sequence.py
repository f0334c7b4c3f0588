"""Sequence to sequence, (2, 15, 10) -> (2, 15, 10): an echo, learned on the spot.

The problem is a ``GeneratedTask``, the form in which a user's own generator plugs into ``train``
and ``evaluate``.
"""

from typing import NamedTuple, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from lstm_baseline import LSTM
from lstm_baseline.demos.base import Demo, say, show_table, tidy
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.plots.palette import BLACK, BLUE, GREY, ORANGE
from lstm_baseline.tasks.base import GeneratedTask, Predictor, Rung
from lstm_baseline.tasks.metrics import MEAN_SQUARED_ERROR, Batch
from lstm_baseline.training import TrainingSettings, evaluate, train

NUM_STEPS, NUM_FEATURES, DELAY = 15, 10, 3
SETTINGS = TrainingSettings(num_steps=400, batch_size=32, learning_rate=0.01, evaluate_every=50)
SEED = 0


@final
class Echo(GeneratedTask):
    """Say at every step what was heard three steps before; 0 while nothing was.

    Inputs (B, 15, 10) from U(−1, 1), targets (B, 15, 10).
    """

    name = "echo"
    summary = "ten noisy channels; what were they three steps ago?"
    loss = "mean_squared_error"
    metric = MEAN_SQUARED_ERROR
    per_step = True
    input_size = output_size = NUM_FEATURES
    test_size = 500
    ladder_size = 2000

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples."""
        x = rng.uniform(-1.0, 1.0, (size, NUM_STEPS, NUM_FEATURES)).astype(np.float32)
        return Batch(x, echo(x))

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("copy", "heuristic", "repeat the input", lambda x: x),
            Predictor("constant", "chance", "always the mean, 0", np.zeros_like),
            Predictor("oracle", "oracle", f"the input of {DELAY} steps before", echo),
        ]


class SequenceToSequence(NamedTuple):
    """The numbers that ``compute`` measured; errors are mean squared errors."""

    ladder: list[Rung]
    """Scores of known rules, worst first."""
    before: float
    """Error of the untrained network on fresh sequences."""
    after: float
    """Error of the trained network on the same sequences."""
    updates: list[int]
    """Updates done at each point of the learning curve."""
    curve: list[float]
    """Error at these points, on the validation sequences."""
    x: FloatArray
    """Two sequences, (2, 15, 10)."""
    target: FloatArray
    """Targets, (2, 15, 10)."""
    output: FloatArray
    """Outputs of the trained network, (2, 15, 10)."""

    def score(self, rule: str) -> float:
        """Return the error of a rule of the ladder."""
        return next(rung.score for rung in self.ladder if rung.name == rule)


def echo(x: FloatArray) -> FloatArray:
    """Return x three steps later, zeros first."""
    y = np.zeros_like(x)
    y[:, DELAY:] = x[:, :-DELAY]
    return y


def compute() -> SequenceToSequence:
    """Train an LSTM and measure it on sequences that it has never seen."""
    task = Echo()
    model = LSTM(task.input_size, 64, task.output_size, rng=SEED)
    test = task.test(SEED)
    x = task.sample(2, np.random.default_rng(SEED)).x
    with one_thread():
        before = evaluate(model, task, test)
        history = train(model, task, SETTINGS, seed=SEED).history
        after = evaluate(model, task, test)
        output = model.forward(x)
    return SequenceToSequence(
        task.ladder(),
        before,
        after,
        [record.step for record in history],
        [record.metric for record in history],
        x,
        echo(x),
        output,
    )


def tell(console: Console, numbers: SequenceToSequence) -> None:
    """Print what was learned."""
    say(console, f"Sequence to sequence: an echo, {DELAY} steps late", style="bold")
    say(
        console,
        f"At each of {NUM_STEPS} steps {NUM_FEATURES} new random numbers between -1 and 1 come in; "
        f"what came in {DELAY} steps before must go out. No input helps to guess another, so the "
        f"state has to carry {DELAY * NUM_FEATURES} numbers at any time.",
    )
    show_table(
        console,
        [f"on fresh sequences, {NUM_STEPS} steps each", "mean squared error"],
        [
            *([f"{rung.name}: {rung.description}", f"{rung.score:.4f}"] for rung in numbers.ladder),
            ["LSTM before training", f"{numbers.before:.4f}"],
            [f"LSTM after {SETTINGS.num_steps} updates", f"{numbers.after:.4f}"],
        ],
    )
    say(console, _verdict(numbers))
    errors = np.square(numbers.output - numbers.target).mean(axis=(1, 2))
    say(
        console,
        f"Two more sequences: x {numbers.x.shape} -> outputs {numbers.output.shape}, with mean "
        f"squared errors {errors[0]:.4f} and {errors[1]:.4f}. Feature 1 of sequence 1:",
    )
    show_table(
        console,
        ["step", "input", "target", "output"],
        [
            [
                str(t + 1),
                *(f"{a[0, t, 0]:+.2f}" for a in (numbers.x, numbers.target, numbers.output)),
            ]
            for t in range(NUM_STEPS)
        ],
    )


def _verdict(numbers: SequenceToSequence) -> str:
    """Say whether the echo was learned."""
    constant = numbers.score("constant")
    share = f"{numbers.after / constant:.1%} of the constant's error"
    if numbers.after < 0.1 * constant:
        learned = f"Trained, the LSTM leaves {share}: it carries its inputs along."
    else:
        learned = f"Trained, the LSTM still leaves {share}: it has not learned the echo."
    if numbers.before < constant:
        return learned
    return (
        f"{learned} Untrained, it is no better than always answering the mean: a comparison of "
        "untrained networks would say nothing."
    )


def draw(numbers: SequenceToSequence) -> Figure:
    """Draw target and output of three features, and the learning curve."""
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    axes = figure.subplot_mosaic([[0, "curve"], [1, "curve"], [2, "curve"]])
    for k in range(3):
        _draw_feature(axes[k], numbers, k)
    axes[0].set_title("Sequence 1: target and output of the trained network")
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower left", fontsize="small", ncols=3)
    axes[2].set_xlabel("time step")
    _draw_curve(axes["curve"], numbers)
    return figure


def _draw_feature(ax: Axes, numbers: SequenceToSequence, k: int) -> None:
    steps = np.arange(1, NUM_STEPS + 1)
    ax.plot(steps, numbers.x[0, :, k], color=GREY, linestyle=":", label="input")
    ax.plot(steps, numbers.target[0, :, k], color=BLUE, linewidth=3, alpha=0.5, label="target")
    ax.plot(steps, numbers.output[0, :, k], color=BLACK, marker=".", linewidth=1, label="output")
    ax.set(ylabel=f"feature {k + 1}", ylim=(-1.15, 1.15), xticks=[1, 5, 10, 15])
    tidy(ax)


def _draw_curve(ax: Axes, numbers: SequenceToSequence) -> None:
    ax.semilogy(numbers.updates, numbers.curve, color=BLACK, marker="o", markersize=4)
    for rule, color, style in (("copy", ORANGE, "-."), ("constant", GREY, "--")):
        score = numbers.score(rule)
        ax.axhline(score, color=color, linestyle=style)
        ax.text(numbers.updates[-1], score * 1.04, rule, ha="right", va="bottom")
    ax.set(title="Learning", xlabel="updates", ylabel="mean squared error, validation")
    tidy(ax)


DEMO = Demo(
    "sequence-to-sequence",
    "a network learns to repeat ten random channels three steps late",
    compute,
    tell,
    draw,
)
