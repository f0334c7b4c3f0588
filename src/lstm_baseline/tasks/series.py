"""Series: what tasks share that show a value a step and ask for the one some steps later.

Inputs: (B, length, 1), the values. Targets (B, length, 1): the value ``ahead`` steps later. A step
counts from the first on at which the values shown determine the next one.

Ladder, as mean squared error, whose root over the standard deviation is the NRMSE: the mean of the
series, which leaves its variance; persistence, the value seen last; a linear autoregression over
the values that determine the next one, by least squares; oracle 0, which goes on with the equation.

Closed loop: validation and test show the series up to the row's last ``closed_loop`` steps. In
these a model is shown what it has itself predicted one step before, and they alone count. It is
trained as without: on the series itself. Errors feed on themselves, and in a chaotic series grow.

Source: closed loop (free run) as a test of recurrent networks, Jaeger and Haas 2004.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.engine.wording import counted
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.metrics import MEAN_SQUARED_ERROR, Batch
from lstm_baseline.tasks.telling import decimals, in_a_row

_FITTED = 4096
"""Rows whose last values the linear rule is fitted to."""
_CLOSED_ROWS = 2000
"""Rows of a test in closed loop, which takes a pass through the model for every step in it."""


class SeriesTask(GeneratedTask):
    """Predict a series; a task states how it goes on.

    Parameters
    ----------
    length : int
        Steps, at least ``history``.
    history : int
        Values that determine the next one.
    ahead : int
        How many steps ahead.
    closed_loop : int
        Steps at a row's end in which a model is tested on its own predictions; 0 for none.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    loss = "mean_squared_error"
    metric = MEAN_SQUARED_ERROR
    per_step = True
    input_size = output_size = 1

    def __init__(self, length: int, history: int, ahead: int, closed_loop: int) -> None:
        self._history = history
        self.length = as_size("length", length, at_least=history, why="the values of a history")
        self.ahead = as_size("ahead", ahead)
        self.closed_loop = as_size("closed_loop", closed_loop, at_least=0)
        if not self.closed_loop:
            return
        if self.ahead != 1:
            raise InputError(
                f"closed_loop is {closed_loop} and ahead {ahead}; in closed loop give ahead = 1: a"
                " prediction is the next step's input"
            )
        if self.closed_loop > self.length - history:
            raise InputError(
                f"closed_loop is {closed_loop}; of {self.length} steps give at most"
                f" {self.length - history}, so that {history} values are shown"
            )
        self.test_size = self.ladder_size = _CLOSED_ROWS

    @abstractmethod
    def series(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw independent series, (B, length + ahead)."""

    @abstractmethod
    def go_on(self, windows: FloatArray) -> FloatArray:
        """Return the values ``ahead`` steps after windows of ``history`` values (N, ·), (N,)."""

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, length, 1), and the mask of steps that count."""
        series = self.series(size, rng)[..., None]
        counts = np.arange(self.length) >= self._history - 1
        mask = np.broadcast_to(counts, (size, self.length)).copy()
        return Batch(series[:, : self.length], series[:, self.ahead :], mask=mask)

    def validation(self, seed: int) -> Batch:
        """Draw the samples that early stopping and selection see, in closed loop if that is on."""
        return self._closed(super().validation(seed))

    def test(self, seed: int) -> Batch:
        """Draw the samples that only the final score sees, in closed loop if that is on."""
        return self._closed(super().test(seed))

    def ladder_samples(self, seed: int) -> Batch:
        """Draw the samples that the ladder is measured on, in closed loop if that is on."""
        return self._closed(super().ladder_samples(seed))

    def outputs_of(self, forward: Callable[[Batch], FloatArray], batch: Batch) -> FloatArray:
        """Return outputs for a batch; in closed loop they become the inputs of the next steps."""
        if not self.closed_loop:
            return forward(batch)
        x, size = batch.x.copy(), len(batch.x)
        predicted = []
        for step in range(self.length - self.closed_loop, self.length + 1):
            last = np.broadcast_to(np.arange(step) == step - 1, (size, step))
            predicted.append(forward(Batch(x[:, :step], batch.y[:, :step], mask=last)))
            if step < self.length:
                x[:, step] = predicted[-1]
        return np.stack(predicted[1:], axis=1).reshape(-1, 1)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        last = f"least squares of the last {counted(self._history, 'value')}"
        return [
            Predictor("mean", "chance", "always the mean of the series", self._mean),
            Predictor("persistence", "heuristic", "the value seen last", self._persistence),
            Predictor("linear autoregression", "heuristic", last, self._linear),
            Predictor("oracle", "oracle", "the equation, iterated", self._oracle),
        ]

    def tell(self, x: NDArray) -> str:
        """Return the values, and the question."""
        shown = in_a_row(decimals(x[:, 0]), " ")
        return f"values {shown}; what is each value {counted(self.ahead, 'step')} later?"

    def answer(self, row: NDArray) -> str:
        """Return the values."""
        return in_a_row(decimals(row[:, 0]), " ")

    def _outputs_of_rule(self, rule: Predictor, batch: Batch) -> FloatArray:
        """Return a rule's outputs; a step of the loop needs no more than a history."""
        if self.closed_loop:
            shown = slice(-self._history, None)
            mask = None if batch.mask is None else batch.mask[:, shown]
            batch = Batch(batch.x[:, shown], batch.y[:, shown], mask=mask)
        return super()._outputs_of_rule(rule, batch)

    def _closed(self, batch: Batch) -> Batch:
        """Return the batch with the steps of the closed loop alone counting."""
        if not self.closed_loop:
            return batch
        counts = np.arange(self.length) >= self.length - self.closed_loop
        return batch._replace(mask=np.broadcast_to(counts, batch.x.shape[:2]).copy())

    @cached_property
    def _fitted(self) -> tuple[FloatArray, FloatArray]:
        """Windows of history (N, ·) and the values ahead of them (N,), in float64."""
        series = self.series(_FITTED, np.random.default_rng(0)).astype(np.float64)
        return series[:, -self._history - self.ahead : -self.ahead], series[:, -1]

    def _mean(self, x: NDArray) -> FloatArray:
        return np.full(x.shape, self._fitted[1].mean(), np.float32)

    def _persistence(self, x: NDArray) -> FloatArray:
        return x.astype(np.float32)

    def _linear(self, x: NDArray) -> FloatArray:
        found: FloatArray = self._windows(x) @ self._weights[:-1] + self._weights[-1]
        return found[..., None].astype(np.float32)

    @cached_property
    def _weights(self) -> FloatArray:
        """Least squares of the value ahead on a history and 1."""
        windows, y = self._fitted
        a = np.concatenate([windows, np.ones((len(y), 1))], axis=1)
        weights: FloatArray = np.linalg.lstsq(a, y, rcond=None)[0]
        return weights

    def _windows(self, x: NDArray) -> FloatArray:
        """Return the history at every step, the last value last, (B, T, ·)."""
        padded = np.pad(x[..., 0], ((0, 0), (self._history - 1, 0)), mode="edge")
        return np.lib.stride_tricks.sliding_window_view(padded, self._history, axis=1)

    def _oracle(self, x: NDArray) -> FloatArray:
        """Go on from every step that has a history; 0 at the others, which never count."""
        values = np.zeros(x.shape, np.float32)
        windows = self._windows(x)[:, self._history - 1 :]
        values[:, self._history - 1 :] = self.go_on(windows.reshape(-1, self._history)).reshape(
            *windows.shape[:2], 1
        )
        return values
