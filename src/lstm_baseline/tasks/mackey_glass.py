"""Mackey–Glass: a chaotic series with a delay, to be predicted some steps ahead.

    s_{t+1} = 0.9 s_t + 0.2 s_{t−τ} / (1 + s_{t−τ}¹⁰)

This is the differential equation ds/dt = 0.2 s(t − τ) / (1 + s(t − τ)¹⁰) − s(t) / 10 in steps of 1.
The series is chaotic at τ = 17 and more so at 30. A row begins anywhere on it: to that end a bank
of histories is drawn once, each row starts from a mixture of two of these, and the steps in which
the series settles are left out.

Inputs: (B, length, 1), the values. Targets (B, length, 1): the value ``ahead`` steps later; a step
counts from τ on, where the row has the history that the next value needs.

Ladder, as mean squared error, whose root over the standard deviation is the NRMSE: the mean of the
series, which leaves its variance; persistence, the value seen last; a linear autoregression over
the last τ + 1 values, by least squares; oracle 0, which goes on with the equation.

Source: Mackey and Glass 1977; as a test of recurrent networks Jaeger and Haas 2004, and 15 steps
ahead Voelker, Kajić and Eliasmith 2019.
"""

from functools import cached_property
from typing import final

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.metrics import MEAN_SQUARED_ERROR, Batch
from lstm_baseline.tasks.telling import decimals, in_a_row

_KEPT = np.float32(0.9)
_BANK, _WASHOUT, _MIXED = 4096, 500, 0.1


@final
class MackeyGlass(GeneratedTask):
    """Predict a chaotic series; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    length : int
        Steps, more than ``delay``.
    delay : int
        τ, at least 17.
    ahead : int
        How many steps ahead, at most τ + 1: what a row shows determines no value beyond. From 8
        on persistence is worse than the mean.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "mackey-glass"
    summary = "a chaotic series is shown; what will it be some steps later?"
    loss = "mean_squared_error"
    metric = MEAN_SQUARED_ERROR
    per_step = True
    input_size = output_size = 1

    def __init__(self, length: int = 64, delay: int = 17, ahead: int = 6) -> None:
        self.delay = as_size("delay", delay, at_least=17, why="below it nothing is chaotic")
        self.length = as_size("length", length, at_least=self.delay + 1, why="the delay")
        self.ahead = as_size("ahead", ahead)
        if self.ahead > self.delay + 1:
            raise InputError(f"ahead is {ahead}; give at most {self.delay + 1}, the delay and one")

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, length, 1), and the mask of the steps from τ on."""
        one, other = self._bank[:, rng.integers(_BANK, size=(2, size))].transpose(1, 0, 2)
        history = one + np.float32(_MIXED) * rng.random(size, np.float32) * (other - one)
        series = self._go_on(history, 2 * self.delay + self.length + self.ahead)
        series = np.ascontiguousarray(series[-self.length - self.ahead :].T)[..., None]
        mask = np.broadcast_to(np.arange(self.length) >= self.delay, (size, self.length))
        return Batch(series[:, : self.length], series[:, self.ahead :], mask=mask.copy())

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        last = f"least squares of the last {self.delay + 1} values"
        return [
            Predictor("mean", "chance", "always the mean of the series", self._mean),
            Predictor("persistence", "heuristic", "the value seen last", self._persistence),
            Predictor("linear autoregression", "heuristic", last, self._linear),
            Predictor("oracle", "oracle", "the equation, iterated", self._oracle),
        ]

    def tell(self, x: NDArray) -> str:
        """Return the values, and the question."""
        shown = in_a_row(decimals(x[:, 0]), " ")
        return f"values {shown}; what is each value {self.ahead} steps later?"

    def answer(self, row: NDArray) -> str:
        """Return the values."""
        return in_a_row(decimals(row[:, 0]), " ")

    @cached_property
    def _bank(self) -> FloatArray:
        """Histories on the attractor, (τ + 1, bank)."""
        rng = np.random.default_rng(0)
        start = rng.uniform(0.5, 1.3, (self.delay + 1, _BANK)).astype(np.float32)
        series = self._go_on(start, 2 * _WASHOUT)
        # Each from a time of its own: the series is so weakly chaotic that phases stay alike.
        first = rng.integers(_WASHOUT, 2 * _WASHOUT, size=_BANK)
        times = first + np.arange(self.delay + 1)[:, None]
        return np.asarray(series[times, np.arange(_BANK)])

    def _go_on(self, history: FloatArray, steps: int) -> FloatArray:
        """Return (τ + 1, N) followed by so many further values, in float32."""
        series = np.empty((len(history) + steps, history.shape[1]), np.float32)
        series[: len(history)] = history
        # What is delayed is known for τ + 1 steps at a time.
        for start in range(len(history), len(series), self.delay + 1):
            end = min(start + self.delay + 1, len(series))
            delayed = series[start - self.delay - 1 : end - self.delay - 1]
            for t, gain in enumerate(_gains(delayed), start):
                series[t] = _KEPT * series[t - 1] + gain
        return series

    def _mean(self, x: NDArray) -> FloatArray:
        return np.full(x.shape, self._bank.mean(), np.float32)

    def _persistence(self, x: NDArray) -> FloatArray:
        return x.astype(np.float32)

    def _linear(self, x: NDArray) -> FloatArray:
        found: FloatArray = self._windows(x) @ self._weights[:-1] + self._weights[-1]
        return found[..., None].astype(np.float32)

    @cached_property
    def _weights(self) -> FloatArray:
        """Least squares of the value ahead on the last τ + 1 values and 1, from the bank."""
        series = self._go_on(self._bank, self.ahead)
        a = np.concatenate([self._bank[::-1], np.ones((1, _BANK))]).astype(np.float64)
        weights: FloatArray = np.linalg.lstsq(a.T, series[-1].astype(np.float64), rcond=None)[0]
        return weights

    def _windows(self, x: NDArray) -> FloatArray:
        """Return the last τ + 1 values at every step, the last first, (B, T, τ + 1)."""
        padded = np.pad(x[..., 0], ((0, 0), (self.delay, 0)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.delay + 1, axis=1)
        return np.asarray(windows[..., ::-1])

    def _oracle(self, x: NDArray) -> FloatArray:
        windows = self._windows(x)
        history = windows.reshape(-1, self.delay + 1).T[::-1].astype(np.float32)
        last: FloatArray = self._go_on(history, self.ahead)[-1].reshape(x.shape)
        return last


def _gains(delayed: FloatArray) -> FloatArray:
    """Return 0.2 s / (1 + s¹⁰); products in one order give the same bits in any layout."""
    square = delayed * delayed
    fourth = square * square
    gains: FloatArray = np.float32(0.2) * delayed / (1 + fourth * fourth * square)
    return gains
