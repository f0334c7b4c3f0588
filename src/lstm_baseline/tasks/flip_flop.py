"""The flip-flop language: one bit, written, kept over a stretch of noise, and read.

A row is a sequence of pairs (instruction, bit): "w" writes the bit, "i" is to be ignored, and the
bit after "r" is the one that was written last. The first instruction is w and the last r. Between
them an instruction is i with probability ``ignore`` and w or r with half of the rest each; the bits
after w and i are fair.

Inputs: tokens (B, T), the instructions w, i, r and the bits 0, 1. Targets (B, T): at each r, the
bit that follows it; other steps do not count. As in a language model, the bit itself comes next.

Ladder, as accuracy: chance ½; the bit before the instruction; the more frequent of the bits so far;
oracle 1, which keeps one bit. By default ``ignore`` is 0.8; published test sets besides that are
0.98, "sparse", where reads lie far behind writes, and 0.1, "dense".

Source: Liu, Ash, Goel, Krishnamurthy and Zhang 2023 (arXiv 2306.00946), section 3; rows there have
T = 512.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_number, as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row

WRITE, IGNORE, READ, ZERO = range(4)
_WORDS = ("w", "i", "r", "0", "1")


@final
class FlipFlop(GeneratedTask):
    """Say the bit that was written last; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    length : int
        T, an even number of at least 6.
    ignore : float
        Probability of an instruction that is to be ignored, between 0 and 1. Without any, the bit
        before a read is always right.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "flip-flop"
    summary = "bits are written, ignored and read; which bit is read?"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = True
    tokens = True
    input_size, output_size = len(_WORDS), 2

    def __init__(self, length: int = 64, ignore: float = 0.8) -> None:
        self.length = as_size("length", length, at_least=6)
        if self.length % 2:
            raise InputError(f"length is {length}; give an even number: a row is made of pairs")
        self.ignore = as_number("ignore", ignore)
        if not 0 < self.ignore < 1:
            raise InputError(f"ignore is {ignore!r}; give a probability between 0 and 1")

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, T), and the mask of the reads."""
        pairs = (size, self.length // 2)
        drawn = rng.random(pairs, dtype=np.float32)
        half = (1 - self.ignore) / 2
        instructions = np.where(drawn < self.ignore, IGNORE, WRITE)
        instructions[drawn >= self.ignore + half] = READ
        instructions[:, 0], instructions[:, -1] = WRITE, READ
        bits = rng.integers(2, size=pairs, dtype=np.uint8)
        kept = _last_written(instructions, bits)
        read = instructions == READ
        x = np.empty((size, self.length), np.int64)
        x[:, ::2], x[:, 1::2] = instructions, ZERO + np.where(read, kept, bits)
        return Batch(x, np.repeat(kept, 2, axis=1).astype(np.int64), mask=x == READ)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "either bit", self._chance),
            Predictor("bit before", "heuristic", "the bit of the pair before", self._bit_before),
            Predictor("most bits", "heuristic", "the more frequent bit so far", self._most_bits),
            Predictor("oracle", "oracle", "the bit written last", self._oracle),
        ]

    def tell(self, x: NDArray) -> str:
        """Return the pairs, and the question."""
        words = [_WORDS[k] for k in x]
        pairs = [
            f"{instruction}{'?' if instruction == 'r' else bit}".replace("?", "·")
            for instruction, bit in zip(words[::2], words[1::2], strict=True)
        ]
        return f"{in_a_row(pairs, ' ')}; which bits are read?"

    def answer(self, row: NDArray) -> str:
        """Return the bits read."""
        return in_a_row(classes(row).tolist(), " ")

    def _chance(self, x: NDArray) -> FloatArray:
        return np.zeros((*x.shape, 2), np.float32)

    def _bit_before(self, x: NDArray) -> FloatArray:
        before = np.zeros(x.shape, np.int64)
        before[:, 2::2] = x[:, 1:-1:2] - ZERO
        return certain(before, 2)

    def _most_bits(self, x: NDArray) -> FloatArray:
        bits = np.where(x >= ZERO, x - ZERO, 0).cumsum(axis=1)
        numbers = (x >= ZERO).cumsum(axis=1)
        # Logits whose sign is that of the surplus; a tie is a tie.
        surplus = (2 * bits - numbers).astype(np.float32)
        return np.stack([-surplus, surplus], axis=-1)

    def _oracle(self, x: NDArray) -> FloatArray:
        kept = _last_written(x[:, ::2], (x[:, 1::2] - ZERO).astype(np.uint8))
        return certain(np.repeat(kept, 2, axis=1).astype(np.int64), 2)


def _last_written(instructions: IntArray, bits: IntArray) -> IntArray:
    """Return after each pair the bit written last, (B, T/2)."""
    pairs = np.arange(instructions.shape[1])
    last = np.maximum.accumulate(np.where(instructions == WRITE, pairs, 0), axis=1)
    written: IntArray = np.take_along_axis(bits, last, axis=1)
    return written
