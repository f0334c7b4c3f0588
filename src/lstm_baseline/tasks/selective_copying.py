"""Selective copying: repeat the symbols that stood among noise, in order.

A row has ``length`` steps in which num_recalled symbols stand at random places, the others being
noise, and then num_recalled marks, during which the symbols are to be repeated. Unlike in copy
memory, where the symbols are is not known beforehand: a step must be able to let its input pass by.

Inputs: tokens (B, length + num_recalled): symbols 0 … num_symbols − 1, noise, mark. Targets (B, T):
symbols, at the marks alone; no other step counts.

Ladder, as accuracy at the marks: chance 1/num_symbols; the symbols shown, in any order; the last
symbol; oracle 1.

Source: Gu and Dao 2023 (arXiv 2312.00752), section 4.1.1, where 16 of 4,096 tokens are symbols; in
the form of Jing et al. 2019 (arXiv 1706.02761), with the places drawn for each row.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain, log_probabilities
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row


@final
class SelectiveCopying(GeneratedTask):
    """Repeat symbols among noise; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    length : int
        Steps before the marks, at least num_recalled.
    num_recalled : int
        Symbols to repeat, at least 1.
    num_symbols : int
        Symbols to draw from, at least 2.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "selective-copying"
    summary = "symbols are shown among noise; repeat them in order"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = True
    tokens = True

    def __init__(self, length: int = 32, num_recalled: int = 4, num_symbols: int = 8) -> None:
        self.num_recalled = as_size("num_recalled", num_recalled)
        self.num_symbols = as_size("num_symbols", num_symbols, at_least=2)
        self.length = as_size("length", length, at_least=self.num_recalled, why="num_recalled")
        self.input_size, self.output_size = self.num_symbols + 2, self.num_symbols
        self._noise, self._mark = self.num_symbols, self.num_symbols + 1

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, T), and the mask of the marks."""
        n, steps = self.num_recalled, self.length + self.num_recalled
        symbols = rng.integers(self.num_symbols, size=(size, n))
        drawn = rng.random((size, self.length), dtype=np.float32)
        places = np.sort(drawn.argpartition(n - 1, axis=1)[:, :n], axis=1)
        x = np.full((size, steps), self._noise)
        np.put_along_axis(x, places, symbols, axis=1)
        x[:, self.length :] = self._mark
        y = np.zeros_like(x)
        y[:, self.length :] = symbols
        return Batch(x, y, mask=x == self._mark)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        rules = [Predictor("chance", "chance", "any symbol", self._chance)]
        if self.num_recalled > 1:
            rules += [
                Predictor("last symbol", "heuristic", "the symbol shown last", self._last),
                Predictor("any order", "heuristic", "the symbols shown, in any order", self._any),
            ]
        return [*rules, Predictor("oracle", "oracle", "the symbols, in order", self._oracle)]

    def tell(self, x: NDArray) -> str:
        """Return what was shown, noise as a dot, and the question."""
        shown = [k + 1 if k < self.num_symbols else "·" for k in x[: self.length].tolist()]
        return f"{in_a_row(shown, ' ')}; which symbols were shown, in order?"

    def answer(self, row: NDArray) -> str:
        """Return the symbols."""
        return in_a_row(classes(row) + 1, " ")

    def _symbols(self, x: NDArray) -> IntArray:
        """Return the symbols shown, in order, (B, num_recalled)."""
        story = x[:, : self.length]
        return np.asarray(story[story < self.num_symbols].reshape(len(x), self.num_recalled))

    def _chance(self, x: NDArray) -> FloatArray:
        return np.zeros((*x.shape, self.output_size), np.float32)

    def _last(self, x: NDArray) -> FloatArray:
        last = np.repeat(self._symbols(x)[:, -1:], x.shape[1], axis=1)
        return certain(last, self.output_size)

    def _any(self, x: NDArray) -> FloatArray:
        counts = np.zeros((len(x), 1, self.output_size))
        for symbols in self._symbols(x).T:
            counts[np.arange(len(x)), 0, symbols] += 1
        most = log_probabilities(counts / self.num_recalled)
        return np.broadcast_to(most, (*x.shape, self.output_size))

    def _oracle(self, x: NDArray) -> FloatArray:
        answer = np.zeros(x.shape, np.int64)
        answer[:, self.length :] = self._symbols(x)
        return certain(answer, self.output_size)
