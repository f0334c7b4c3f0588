"""Adding: the sum of the two marked numbers of a long sequence.

Inputs (B, length, 2), by column: a number from U(0, 1); a marker, 1 at two steps and 0 elsewhere.
One marker is in the first half of the sequence, the other in the second.

Targets: the sum of the two marked numbers, (B, 1).

Ladder, as mean squared error: always answering the mean, 1, leaves the variance, 1/6; oracle 0.

Source: Hochreiter and Schmidhuber 1997, experiment 4, in the form of Arjovsky et al. 2016
(arXiv 1511.06464), section 4.2, who use lengths from 100 to 750.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.metrics import MEAN_SQUARED_ERROR, Batch


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
            Predictor("oracle", "oracle", "the sum of the marked numbers", self._oracle),
        ]

    def _constant(self, x: FloatArray) -> FloatArray:
        return np.ones((len(x), 1), np.float32)

    def _oracle(self, x: FloatArray) -> FloatArray:
        marked: FloatArray = (x[..., 0] * x[..., 1]).sum(axis=1, keepdims=True)
        return marked
