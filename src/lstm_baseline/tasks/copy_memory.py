"""Copy memory: repeat a string of symbols after a delay.

A row has delay + 2·num_recalled steps: num_recalled symbols; delay − 1 blanks; the go signal;
num_recalled blanks, during which the symbols are to be repeated in order.

Inputs (B, T, num_symbols + 2), by column: the symbol shown, one-hot; blank; go signal.

Targets: (B, T) classes, one for each step: class num_symbols, "blank", up to and including the go
signal, then the symbols.

Ladder, as mean cross-entropy in nats per step: chance ln(num_symbols + 1); without memory, blank
until the go signal and then any symbol, num_recalled·ln(num_symbols)/(delay + 2·num_recalled),
0.416 by default; the symbols shown, but not their order: after the go signal each symbol has its
share of those shown, 0.33 (left out where a single symbol is to be repeated, which has no order);
oracle 0.

Source: Hochreiter and Schmidhuber 1997, in the form of Arjovsky et al. 2016 (arXiv 1511.06464),
section 4.1, who use delays from 100 to 500; the default is shorter, so that it can be learned on
a CPU.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.engine.wording import counted
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain, log_probabilities, one_hot
from lstm_baseline.tasks.metrics import CROSS_ENTROPY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row


@final
class CopyMemory(GeneratedTask):
    """Repeat symbols after a delay; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    delay : int
        Steps from the last symbol to the go signal, at least 1.
    num_recalled : int
        Symbols to repeat, at least 1.
    num_symbols : int
        Symbols to draw from, at least 2.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "copy-memory"
    summary = "symbols are shown, then blanks; repeat the symbols after the go signal"
    loss = "cross_entropy"
    metric = CROSS_ENTROPY
    per_step = True

    def __init__(self, delay: int = 30, num_recalled: int = 10, num_symbols: int = 8) -> None:
        self.delay = as_size("delay", delay, at_least=1)
        self.num_recalled = as_size("num_recalled", num_recalled, at_least=1)
        self.num_symbols = as_size("num_symbols", num_symbols, at_least=2)
        self.input_size = self.num_symbols + 2
        self.output_size = self.num_symbols + 1

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, delay + 2·num_recalled, I), y (B, T)."""
        blank, go = self.num_symbols, self.num_symbols + 1
        recall = self.num_recalled + self.delay
        symbols = rng.integers(self.num_symbols, size=(size, self.num_recalled))
        x = np.zeros((size, recall + self.num_recalled, self.input_size), np.float32)
        x[:, : self.num_recalled, : self.num_symbols] = one_hot(symbols, self.num_symbols)
        x[:, self.num_recalled :, blank] = 1
        x[:, recall - 1, blank] = 0
        x[:, recall - 1, go] = 1
        y = np.full(x.shape[:2], blank)
        y[:, recall:] = symbols
        return Batch(x, y)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "any class at every step", self._chance),
            Predictor(
                "memoryless",
                "heuristic",
                "blank until the go signal, then any symbol",
                self._memoryless,
            ),
            *self._order_free(),
            Predictor("oracle", "oracle", "the symbols shown, in order", self._oracle),
        ]

    def tell(self, x: FloatArray) -> str:
        """Return the symbols shown, the delay, and the question."""
        shown = x[: self.num_recalled, : self.num_symbols].argmax(axis=-1)
        return (
            f"symbols {in_a_row(shown + 1, ' ')}, then {counted(self.delay - 1, 'blank')} and the "
            "go signal; which symbols were shown, in order?"
        )

    def answer(self, row: NDArray) -> str:
        """Return the symbols recalled, and how many were given before the go signal, if any."""
        given = classes(row)
        blank = self.num_symbols
        recalled = ["blank" if k == blank else k + 1 for k in given[-self.num_recalled :].tolist()]
        too_early = int((given[: -self.num_recalled] != blank).sum())
        return in_a_row(recalled, " ") + (f", and {too_early} too early" if too_early else "")

    def _chance(self, x: FloatArray) -> FloatArray:
        return np.zeros((*x.shape[:2], self.output_size), np.float32)

    def _memoryless(self, x: FloatArray) -> FloatArray:
        p = np.zeros((*x.shape[:2], self.output_size), np.float32)
        p[:, : -self.num_recalled, -1] = 1
        p[:, -self.num_recalled :, :-1] = 1 / self.num_symbols
        return log_probabilities(p)

    def _order_free(self) -> list[Predictor]:
        """Return the best rule that forgets the order of the symbols; a single one has none."""
        if self.num_recalled == 1:
            return []
        return [
            Predictor(
                "any order",
                "heuristic",
                "blank until the go signal, then each symbol as often as it was shown",
                self._any_order,
            )
        ]

    def _any_order(self, x: FloatArray) -> FloatArray:
        p = np.zeros((*x.shape[:2], self.output_size), np.float32)
        p[:, : -self.num_recalled, -1] = 1
        shown = x[:, : self.num_recalled, : self.num_symbols]
        p[:, -self.num_recalled :, :-1] = shown.mean(axis=1, keepdims=True)
        return log_probabilities(p)

    def _oracle(self, x: FloatArray) -> FloatArray:
        answer = np.full(x.shape[:2], self.num_symbols)
        symbols = x[:, : self.num_recalled, : self.num_symbols]
        answer[:, -self.num_recalled :] = symbols.argmax(axis=-1)
        return certain(answer, self.output_size)
