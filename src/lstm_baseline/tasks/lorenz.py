"""Lorenz: one of the three variables of a chaotic system; the other two are never shown.

    ds₁/dt = 10 (s₂ − s₁)      ds₂/dt = s₁ (28 − s₃) − s₂      ds₃/dt = s₁ s₂ − 8/3 s₃

in Runge–Kutta steps (of the fourth order) of 0.025; a value is s₁ / 8 at every second of them, so
that its standard deviation is about 1. Two series that begin close part by a factor of e in about
1.1 units of time, 22 values. A row begins anywhere on the attractor: states are drawn once, each
row starts from a mixture of two of these, and what comes before it settles is left out.
``series.py`` has the layout, the ladder and the closed loop.

Four values determine the next one: the oracle looks for the state (s₁, s₂, s₃) from which they all
follow (Gauss–Newton), and goes on from it.

Source: Lorenz 1963; as a test of recurrent networks Jaeger and Haas 2004, and Pathak et al. 2017.
"""

from functools import cached_property
from typing import final

import numpy as np

from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.tasks.metrics import Batch
from lstm_baseline.tasks.series import SeriesTask

_SIGMA, _RHO, _BETA = 10.0, 28.0, 8 / 3
_STEP, _STEPS_A_VALUE = 0.025, 2
_SCALE = 8.0
_HISTORY = 4
_BANK, _WASHOUT, _MIXED, _SETTLED = 4096, 600, 0.1, 20
"""States; values before these are taken; how far a start lies between two; values until then."""
_AT_A_TIME = 8192
"""Rows that are iterated together, so that they stay in the cache."""
_BATCHES = 32
"""Batches of training that are drawn together: the cost is that of steps more than of rows."""
_ITERATIONS = 8
_DIFFERENCE = 1e-6
_MEAN_OF_S3 = 23.5


@final
class Lorenz(SeriesTask):
    """Predict one variable of a chaotic system.

    Parameters
    ----------
    length : int
        Steps, at least 4.
    ahead : int
        How many steps ahead. From 5 on persistence is worse than the mean.
    closed_loop : int
        Steps at a row's end in which a model is tested on its own predictions; 0 for none.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "lorenz"
    summary = "one variable of a chaotic system is shown; what will it be some steps later?"
    ladder_size = 2000

    def __init__(self, length: int = 64, ahead: int = 4, closed_loop: int = 0) -> None:
        super().__init__(length, _HISTORY, ahead, closed_loop)
        self._drawn: tuple[tuple[int, int, int], Batch] | None = None

    def train_batch(self, step: int, size: int, seed: int) -> Batch:
        """Draw the batch of a training step, with others that are kept for the next steps."""
        block, place = divmod(step, _BATCHES)
        if self._drawn is None or self._drawn[0] != (block, size, seed):
            drawn = super().train_batch(block, _BATCHES * size, seed)
            self._drawn = (block, size, seed), drawn
        return self._drawn[1].rows(slice(place * size, (place + 1) * size))

    def series(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw series on the attractor."""
        one, other = self._bank[:, rng.integers(_BANK, size=(2, size))].transpose(1, 0, 2)
        start = one + np.float32(_MIXED) * rng.random(size, np.float32) * (other - one)
        values = np.empty((size, self.length + self.ahead), np.float32)
        for first in range(0, size, _AT_A_TIME):
            rows = slice(first, first + _AT_A_TIME)
            state = _after(start[:, rows], _SETTLED)
            for step in range(values.shape[1]):
                values[rows, step] = state[0]
                state = _after(state, 1)
        return values / np.float32(_SCALE)

    def go_on(self, windows: FloatArray) -> FloatArray:
        """Find the state behind each window, and iterate the equations."""
        found = np.empty(len(windows), np.float32)
        for first in range(0, len(windows), _AT_A_TIME):
            rows = slice(first, first + _AT_A_TIME)
            shown = windows[rows].T.astype(np.float64) * _SCALE
            found[rows] = _after(_state_behind(shown), _HISTORY - 1 + self.ahead)[0] / _SCALE
        return found

    @cached_property
    def _bank(self) -> FloatArray:
        """States on the attractor, (3, bank)."""
        rng = np.random.default_rng(0)
        start = rng.normal([[0], [0], [25]], 5, size=(3, _BANK))
        return _after(start.astype(np.float32), _WASHOUT)


def _after(state: FloatArray, values: int) -> FloatArray:
    """Return states (3, N) so many values later, in their own precision."""
    h = state.dtype.type(_STEP)
    state = state.copy()
    slopes, slope, between = (np.empty_like(state) for _ in range(3))
    for _ in range(values * _STEPS_A_VALUE):
        _slope(state, out=slopes)
        np.multiply(h / 2, slopes, out=between)
        for weight, further in ((2, h / 2), (2, h), (1, None)):
            between += state
            _slope(between, out=slope)
            if further is not None:
                np.multiply(further, slope, out=between)
            slope *= weight
            slopes += slope
        slopes *= h / 6
        state += slopes
    return state


def _slope(state: FloatArray, out: FloatArray) -> None:
    """Write ds/dt, (3, N)."""
    sigma, rho, beta = (state.dtype.type(constant) for constant in (_SIGMA, _RHO, _BETA))
    np.subtract(state[1], state[0], out=out[0])
    out[0] *= sigma
    np.subtract(rho, state[2], out=out[1])
    out[1] *= state[0]
    out[1] -= state[1]
    np.multiply(state[0], state[1], out=out[2])
    out[2] -= beta * state[2]


def _state_behind(shown: FloatArray) -> FloatArray:
    """Return the states (3, N) from which values (4, N) follow, by least squares."""
    time = _STEP * _STEPS_A_VALUE
    slope = (4 * shown[1] - 3 * shown[0] - shown[2]) / (2 * time)
    state = np.stack([shown[0], shown[0] + slope / _SIGMA, np.full_like(slope, _MEAN_OF_S3)])
    for _ in range(_ITERATIONS):
        misses = _first_values(state) - shown
        slopes = np.stack(
            [
                (_first_values(state + _DIFFERENCE * unit[:, None]) - shown - misses) / _DIFFERENCE
                for unit in np.eye(3)
            ]
        )
        products = np.einsum("iwn,jwn->nij", slopes, slopes) + 1e-9 * np.eye(3)
        aims = np.einsum("iwn,wn->ni", slopes, misses)
        # No step is longer than the attractor is wide, so that none of them leaves it for good.
        state = state - np.linalg.solve(products, aims[..., None])[..., 0].T.clip(-20, 20)
    return state


def _first_values(state: FloatArray) -> FloatArray:
    """Return s₁ of states (3, N) now and at the next values, (4, N)."""
    values = [state[0]]
    for _ in range(_HISTORY - 1):
        state = _after(state, 1)
        values.append(state[0])
    return np.stack(values)
