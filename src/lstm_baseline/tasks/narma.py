"""NARMA-10: a nonlinear system driven by noise, whose output depends on the last ten inputs.

    y_{t+1} = 0.3 y_t + 0.05 y_t (y_t + … + y_{t−9}) + 1.5 u_{t−9} u_t + 0.1,   u ~ U(0, ½)

A row begins at rest: y = 0 and u = 0 before it. Now and then the system runs away; a row in which y
leaves 0 … 1 is drawn anew.

Inputs: (B, length, 1), u_t. Targets (B, length, 1): y_{t+1}. The model never sees y: it has to keep
ten inputs, multiply the first of them with the last, and carry the system's own state.

Ladder, as mean squared error, whose root over the standard deviation is the NRMSE: at each step the
mean of all rows there; a linear filter of the last 20 inputs, by least squares; the equation with y
at its mean in place of its own past; oracle 0.

Source: Atiya and Parlos 2000; as a test of recurrent networks, Jaeger 2003.
"""

from functools import cached_property
from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.metrics import MEAN_SQUARED_ERROR, Batch
from lstm_baseline.tasks.telling import decimals, in_a_row

_ORDER, _FILTER = 10, 20
_COUNTED = 20_000
"""Rows from which means and the filter are taken."""


@final
class Narma(GeneratedTask):
    """Follow a nonlinear system; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    length : int
        Steps, at least 20.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "narma"
    summary = "a nonlinear system is driven by noise, which is shown; what does it give?"
    loss = "mean_squared_error"
    metric = MEAN_SQUARED_ERROR
    per_step = True
    input_size = output_size = 1

    def __init__(self, length: int = 50) -> None:
        self.length = as_size("length", length, at_least=_FILTER)

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, length, 1)."""
        u = rng.random((size, self.length), dtype=np.float32) / 2
        y = _respond(u)
        # Comparisons with what has become infinite, or no number, are false.
        while len(away := np.flatnonzero(~(y.max(axis=1, initial=0) <= 1))):
            u[away] = rng.random((len(away), self.length), dtype=np.float32) / 2
            y[away] = _respond(u[away])
        return Batch(u[..., None], y[..., None])

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        without = "the equation with the mean in place of the past outputs"
        return [
            Predictor("mean", "chance", "the mean at each step", self._mean),
            Predictor("no state", "heuristic", without, self._no_state),
            Predictor(
                "linear filter",
                "heuristic",
                f"least squares of the last {_FILTER} inputs",
                self._filter,
            ),
            Predictor("oracle", "oracle", "the equation, iterated", self._oracle),
        ]

    def tell(self, x: NDArray) -> str:
        """Return the inputs, and the question."""
        return f"inputs {in_a_row(decimals(x[:, 0]), ' ')}; what does the system give after each?"

    def answer(self, row: NDArray) -> str:
        """Return the outputs."""
        return in_a_row(decimals(row[:, 0]), " ")

    @cached_property
    def _counted(self) -> Batch:
        return self.sample(_COUNTED, np.random.default_rng(0))

    @cached_property
    def _means(self) -> FloatArray:
        """The mean output after each step, (T, 1)."""
        means: FloatArray = self._counted.y.mean(axis=0)
        return means

    def _mean(self, x: NDArray) -> FloatArray:
        return np.broadcast_to(self._means, x.shape)

    def _no_state(self, x: NDArray) -> FloatArray:
        before = np.concatenate([np.zeros((1, 1), np.float32), self._means[:-1]])
        tens = np.array([before[max(0, t - _ORDER + 1) : t + 1].sum() for t in range(self.length)])
        past = before * (0.3 + 0.05 * tens[:, None]) + 0.1
        product: FloatArray = 1.5 * _delayed(x[..., 0], _ORDER - 1) * x[..., 0]
        return (product[..., None] + past).astype(np.float32)

    def _filter(self, x: NDArray) -> FloatArray:
        found: FloatArray = _last(x[..., 0]) @ self._weights[:-1] + self._weights[-1]
        return found[..., None].astype(np.float32)

    @cached_property
    def _weights(self) -> FloatArray:
        """Least squares of an output on the last inputs and 1."""
        rows = self._counted.rows(slice(0, 2000))
        a = _last(rows.x[..., 0]).reshape(-1, _FILTER).astype(np.float64)
        a = np.concatenate([a, np.ones((len(a), 1))], axis=1)
        weights: FloatArray = np.linalg.lstsq(a, rows.y.ravel().astype(np.float64), rcond=None)[0]
        return weights

    def _oracle(self, x: NDArray) -> FloatArray:
        return _respond(x[..., 0])[..., None]


def _respond(u: FloatArray) -> FloatArray:
    """Return y_{t+1} for inputs u (B, T), in float32."""
    drive = np.float32(1.5) * _delayed(u, _ORDER - 1) * u + np.float32(0.1)
    y = np.zeros((u.shape[1] + 1, len(u)), np.float32)
    tens = np.zeros(len(u), np.float32)  # of the last ten outputs
    with np.errstate(over="ignore", invalid="ignore"):  # it runs away
        for t, driven in enumerate(np.ascontiguousarray(drive.T)):
            tens += y[t]
            if t >= _ORDER:
                tens -= y[t - _ORDER]
            y[t + 1] = y[t] * (np.float32(0.3) + np.float32(0.05) * tens) + driven
    return np.ascontiguousarray(y[1:].T)


def _delayed(u: FloatArray, steps: int) -> FloatArray:
    """Return u (B, T) as it was so many steps before, 0 before a row begins."""
    return np.pad(u, ((0, 0), (steps, 0)))[:, : u.shape[1]]


def _last(u: FloatArray) -> FloatArray:
    """Return the last inputs at every step, (B, T, 20)."""
    return np.stack([_delayed(u, k) for k in range(_FILTER)], axis=-1)
