"""A task of one's own to race on: a latch, one bit that is written, held and overwritten.

    lstm-baseline compare --tasks examples.own_task:Latch

Inputs (B, length, 3), by column: the instruction write, the instruction ignore, one-hot; a bit.
The first instruction is write; each further one is with ``write_probability``.

Targets (B, length): at every step, the bit that was written last.

Ladder, as accuracy: chance ½; the bit shown is the bit written last where the instruction is write,
and in half of the other cases: (1 + w)/2 with w the share of writes; the bit that was written first
is right until the first other write, and by chance after it; oracle 1.

Source: Liu et al. 2023 (arXiv 2306.00946), whose task is to predict the next token and has a third
instruction, read; here every step asks for the bit.
"""

import numpy as np

from lstm_baseline.engine import FloatArray
from lstm_baseline.tasks import ACCURACY, Batch, GeneratedTask, Predictor

WRITE, IGNORE, BIT = range(3)


class Latch(GeneratedTask):
    """Name the bit that was written last; the module's docstring has layout and ladder."""

    name = "latch"
    summary = "bits are written and others shown between; which one was written last?"
    input_size = 3
    output_size = 2
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = True

    def __init__(self, length: int = 40, write_probability: float = 0.1) -> None:
        self.length = length
        self.write_probability = write_probability

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, length, 3), y (B, length)."""
        writes = rng.random((size, self.length)) < self.write_probability
        writes[:, 0] = True
        bits = rng.integers(2, size=(size, self.length))
        x = np.stack([writes, ~writes, bits], axis=-1).astype(np.float32)
        return Batch(x, np.take_along_axis(bits, last_write(x), axis=1))

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "either bit", lambda x: np.zeros((*x.shape[:2], 2))),
            Predictor(
                "bit shown", "heuristic", "the bit of this step", lambda x: sure(x[..., BIT])
            ),
            Predictor(
                "first bit",
                "heuristic",
                "the bit that was written first",
                lambda x: sure(np.broadcast_to(x[:, :1, BIT], x.shape[:2])),
            ),
            Predictor(
                "oracle",
                "oracle",
                "the bit that was written last",
                lambda x: sure(np.take_along_axis(x[..., BIT], last_write(x), axis=1)),
            ),
        ]

    def tell(self, x: FloatArray) -> str:
        """Return a sample x (length, 3) in words, for the report's wrong answers."""
        told = [f"{'write ' if step[WRITE] else ''}{step[BIT]:.0f}" for step in x]
        return f"{', '.join(told)}; which bit was written last, at every step?"

    def answer(self, row: np.ndarray) -> str:
        """Return the bits of a target (length,), or of a prediction (length, 2)."""
        bits = row if row.dtype.kind in "iu" else row.argmax(axis=-1)
        return " ".join(map(str, bits))


def last_write(x: FloatArray) -> np.ndarray:
    """Return the step of the last write at each step of x (B, T, 3), (B, T)."""
    steps = np.where(x[..., WRITE] == 1, np.arange(x.shape[1]), 0)
    return np.maximum.accumulate(steps, axis=1)


def sure(bits: np.ndarray) -> np.ndarray:
    """Return the logits (…, 2) of somebody who is sure of bits (…)."""
    return np.eye(2)[bits.astype(int)]
