"""Parity: the number of ones, modulo 2.

Inputs (B, length, 2), by column: the bit 0, the bit 1, one-hot; each bit is 1 with probability ½.

Targets: (B,) classes, 0 for an even number of ones and 1 for an odd one.

Ladder, as accuracy: chance ½, and no rule that ignores even a single bit does better; oracle 1,
which keeps one bit: h = h' xor x.

Source: Minsky and Papert 1969, chapter 3; as a test of what recurrent networks can keep track of,
Delétang et al. 2023 (arXiv 2207.02098).
"""

from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain, one_hot, uniform
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row


@final
class Parity(GeneratedTask):
    """Tell whether the ones are odd in number; the module's docstring has layout and ladder.

    Parameters
    ----------
    length : int
        Bits, at least 1.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "parity"
    summary = "bits are shown; is the number of ones odd?"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = False
    input_size = 2
    output_size = 2

    def __init__(self, length: int = 20) -> None:
        self.length = as_size("length", length)

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, length, 2), y (B,)."""
        bits = rng.integers(2, size=(size, self.length))
        return Batch(one_hot(bits, 2), bits.sum(axis=1) % 2)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "either answer", lambda x: uniform(x, 2)),
            Predictor("oracle", "oracle", "the sum of the bits modulo 2", self._oracle),
        ]

    def tell(self, x: FloatArray) -> str:
        """Return the bits, and the question."""
        return f"{in_a_row(x.argmax(axis=-1), ' ')}; is the number of ones odd?"

    def answer(self, row: NDArray) -> str:
        """Return yes or no."""
        return "yes" if classes(row) == 1 else "no"

    def _oracle(self, x: FloatArray) -> FloatArray:
        return certain(x[..., 1].sum(axis=1).astype(np.int64) % 2, 2)
