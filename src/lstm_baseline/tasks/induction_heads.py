"""Induction heads: what followed the mark, when the mark comes again.

A row holds random tokens, among them the mark once, at a random place; it ends with the mark. The
answer is the token that followed the first one. What is to be kept is told by what stands before
it, so a step must look at two tokens, and then keep one of them for long.

Inputs: tokens (B, T): ordinary ones 0 … V − 2, all equally likely, and the mark, V − 1. The first
mark stands at one of the steps 1 … T − 2, all equally likely. Targets (B,): an ordinary token.

Ladder, as accuracy: chance 1/(V − 1); the last token before the second mark, which is right where
the first mark stood just before it, and by chance elsewhere: 1/(T − 2) + (T − 3)/(T − 2)/(V − 1);
the most frequent token of the row; oracle 1.

Source: Gu and Dao 2023 (arXiv 2312.00752), section 4.1.2, with 16 tokens and T = 256.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain, largest, uniform
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row


@final
class InductionHeads(GeneratedTask):
    """Say what followed the mark; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    vocabulary : int
        V, the mark included, at least 3.
    length : int
        T, at least 4: otherwise the last token is always right.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "induction-heads"
    summary = "a token follows a mark among others; the mark comes again, what followed it?"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = False
    tokens = True

    def __init__(self, vocabulary: int = 16, length: int = 64) -> None:
        why = "a mark and two others"
        self.vocabulary = as_size("vocabulary", vocabulary, at_least=3, why=why)
        self.length = as_size("length", length, at_least=4)
        self.input_size, self.output_size = self.vocabulary, self.vocabulary - 1
        self._mark = self.vocabulary - 1

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, T), y (B,)."""
        x = rng.integers(self._mark, size=(size, self.length))
        rows, places = np.arange(size), rng.integers(self.length - 2, size=size)
        x[rows, places] = x[:, -1] = self._mark
        return Batch(x, x[rows, places + 1])

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        last = "the last token before the mark comes again"
        return [
            Predictor("chance", "chance", "any token", self._chance),
            Predictor("last token", "heuristic", last, self._last),
            Predictor("most frequent", "heuristic", "the most frequent token", self._frequent),
            Predictor("oracle", "oracle", "the token after the mark", self._oracle),
        ]

    def tell(self, x: NDArray) -> str:
        """Return the tokens before and after the mark, and the question."""
        place = int(self._places(x[None])[0])
        before, after = (
            in_a_row((part + 1).tolist(), " ") for part in (x[:place], x[place + 1 : -1])
        )
        return f"{before} # {after}; what followed #?".lstrip()

    def answer(self, row: NDArray) -> str:
        """Return the token."""
        return str(int(classes(row)) + 1)

    def _places(self, x: NDArray) -> NDArray:
        """Return where the first mark stands, (B,)."""
        return np.asarray((x == self._mark).argmax(axis=1))

    def _chance(self, x: NDArray) -> FloatArray:
        return uniform(x, self.output_size)

    def _last(self, x: NDArray) -> FloatArray:
        return certain(x[:, -2], self.output_size)

    def _frequent(self, x: NDArray) -> FloatArray:
        return largest(np.stack([(x == k).sum(axis=1) for k in range(self._mark)], axis=1))

    def _oracle(self, x: NDArray) -> FloatArray:
        return certain(x[np.arange(len(x)), self._places(x) + 1], self.output_size)
