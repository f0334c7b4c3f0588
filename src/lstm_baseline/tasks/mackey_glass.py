"""Mackey–Glass: a chaotic series with a delay.

    s_{t+1} = 0.9 s_t + 0.2 s_{t−τ} / (1 + s_{t−τ}¹⁰)

This is the differential equation ds/dt = 0.2 s(t − τ) / (1 + s(t − τ)¹⁰) − s(t) / 10 in steps of 1.
The series is chaotic at τ = 17 and more so at 30. A row begins anywhere on it: to that end a bank
of histories is drawn once, each row starts from a mixture of two of these, and the steps in which
the series settles are left out. The last τ + 1 values determine the next one. ``series.py`` has the
layout, the ladder and the closed loop.

Source: Mackey and Glass 1977; as a test of recurrent networks Jaeger and Haas 2004, and 15 steps
ahead Voelker, Kajić and Eliasmith 2019.
"""

from functools import cached_property
from typing import final

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.tasks.series import SeriesTask

_KEPT = np.float32(0.9)
_BANK, _WASHOUT, _MIXED = 4096, 500, 0.1


@final
class MackeyGlass(SeriesTask):
    """Predict a chaotic series with a delay.

    Parameters
    ----------
    length : int
        Steps, more than ``delay``.
    delay : int
        τ, at least 17.
    ahead : int
        How many steps ahead, at most τ + 1: what a row shows determines no value beyond. From 8
        on persistence is worse than the mean.
    closed_loop : int
        Steps at a row's end in which a model is tested on its own predictions; 0 for none.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "mackey-glass"
    summary = "a chaotic series is shown; what will it be some steps later?"

    def __init__(
        self, length: int = 64, delay: int = 17, ahead: int = 6, closed_loop: int = 0
    ) -> None:
        self.delay = as_size("delay", delay, at_least=17, why="below it nothing is chaotic")
        super().__init__(length, self.delay + 1, ahead, closed_loop)
        if self.ahead > self.delay + 1:
            raise InputError(f"ahead is {ahead}; give at most {self.delay + 1}, the delay and one")

    def series(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw series that have settled."""
        one, other = self._bank[:, rng.integers(_BANK, size=(2, size))].transpose(1, 0, 2)
        history = one + np.float32(_MIXED) * rng.random(size, np.float32) * (other - one)
        series = self._iterate(history, 2 * self.delay + self.length + self.ahead)
        return np.ascontiguousarray(series[-self.length - self.ahead :].T)

    def go_on(self, windows: FloatArray) -> FloatArray:
        """Iterate the equation."""
        last: FloatArray = self._iterate(windows.T.astype(np.float32), self.ahead)[-1]
        return last

    @cached_property
    def _bank(self) -> FloatArray:
        """Histories on the attractor, (τ + 1, bank)."""
        rng = np.random.default_rng(0)
        start = rng.uniform(0.5, 1.3, (self.delay + 1, _BANK)).astype(np.float32)
        series = self._iterate(start, 2 * _WASHOUT)
        # Each from a time of its own: the series is so weakly chaotic that phases stay alike.
        first = rng.integers(_WASHOUT, 2 * _WASHOUT, size=_BANK)
        times = first + np.arange(self.delay + 1)[:, None]
        return np.asarray(series[times, np.arange(_BANK)])

    def _iterate(self, history: FloatArray, steps: int) -> FloatArray:
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


def _gains(delayed: FloatArray) -> FloatArray:
    """Return 0.2 s / (1 + s¹⁰); products in one order give the same bits in any layout."""
    square = delayed * delayed
    fourth = square * square
    gains: FloatArray = np.float32(0.2) * delayed / (1 + fourth * fourth * square)
    return gains
