"""Adding: the sum of the two marked numbers of a long sequence.

Inputs (B, length, 2), by column: a number from U(0, 1); a marker, 1 at two steps and 0 elsewhere.
One marker is in the first half of the sequence, the other in the second.

Targets: the sum of the two marked numbers, (B, 1).

Ladder, as mean squared error: always answering the mean, 1, leaves the variance, 1/6. The mean of
the first half's numbers plus that of the second's is the best that a rule can do without the
markers; it leaves 1 − 1/n of each half's variance, 1/12, with n the half's numbers: 0.160 at length
50. (At length 2 everything is marked, and the rule is left out.) Who remembers no more than the
number marked last adds ½ for the other one, which leaves its variance, 1/12. Oracle 0.

Source: Hochreiter and Schmidhuber 1997, experiment 4, in the form of Arjovsky et al. 2016
(arXiv 1511.06464), section 4.2, who use lengths from 100 to 750.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import last_true
from lstm_baseline.tasks.metrics import MEAN_SQUARED_ERROR, Batch
from lstm_baseline.tasks.telling import decimals


@final
class Adding(GeneratedTask):
    """Add two marked numbers; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    length : int
        Steps, at least 2.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "adding"
    summary = "numbers are shown, two of them marked; what is the sum of these two?"
    loss = "mean_squared_error"
    metric = MEAN_SQUARED_ERROR
    per_step = False
    input_size = 2
    output_size = 1

    def __init__(self, length: int = 50) -> None:
        self.length = as_size("length", length, at_least=2)

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, length, 2), y (B, 1)."""
        rows = np.arange(size)
        half = self.length // 2
        first = rng.integers(half, size=size)
        second = rng.integers(half, self.length, size=size)
        x = np.zeros((size, self.length, 2), np.float32)
        x[..., 0] = rng.random((size, self.length), dtype=np.float32)
        x[rows, first, 1] = x[rows, second, 1] = 1
        return Batch(x, (x[rows, first, 0] + x[rows, second, 0])[:, None])

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("constant", "chance", "always the mean, 1", self._constant),
            *self._without_markers(),
            Predictor(
                "last marked number",
                "heuristic",
                "the number marked last, and ½ for the other",
                self._last_marked,
            ),
            Predictor("oracle", "oracle", "the sum of the marked numbers", self._oracle),
        ]

    def tell(self, x: FloatArray) -> str:
        """Return the two marked numbers with their places, and the question."""
        first, second = x[:, 1].nonzero()[0]
        one, other = decimals(x[[first, second], 0])
        return (
            f"of {self.length} numbers, number {first + 1}, {one}, and number {second + 1}, "
            f"{other}, are marked; what is their sum?"
        )

    def answer(self, row: NDArray) -> str:
        """Return the sum."""
        (total,) = decimals(row)
        return total

    def _constant(self, x: FloatArray) -> FloatArray:
        return np.ones((len(x), 1), np.float32)

    def _without_markers(self) -> list[Predictor]:
        """Return the best rule that never looks at the markers; at length 2 it needs none."""
        if self.length == 2:
            return []
        return [
            Predictor(
                "means of the halves",
                "heuristic",
                "the mean of the first half plus that of the second",
                self._means_of_halves,
            )
        ]

    def _means_of_halves(self, x: FloatArray) -> FloatArray:
        # In its half every number is equally likely to be marked.
        half = self.length // 2
        mean: FloatArray = x[:, :half, :1].mean(axis=1) + x[:, half:, :1].mean(axis=1)
        return mean

    def _last_marked(self, x: FloatArray) -> FloatArray:
        last = last_true(x[..., 1] == 1)
        return x[np.arange(len(x)), last, :1] + np.float32(0.5)

    def _oracle(self, x: FloatArray) -> FloatArray:
        marked: FloatArray = (x[..., 0] * x[..., 1]).sum(axis=1, keepdims=True)
        return marked
