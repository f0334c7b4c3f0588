"""What tasks over strings of tokens share: lengths that vary, and padding that no rule reads.

A row has L tokens, L drawn uniformly from a range; all rows of a batch are as long as the longest
that the range allows, and hold ``PADDING`` past their end, so that a rule of the ladder sees from x
alone where a row ends.
"""

from collections.abc import Sequence

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import IntArray, NDArray

PADDING = -1
"""No token: stands past a row's end."""

Lengths = int | Sequence[int]
"""A number of tokens, or the least and the most."""


def as_lengths_range(lengths: Lengths, at_least: int = 1) -> tuple[int, int]:
    """Return the least and the largest length.

    Raises
    ------
    InputError
        If it is neither a number nor a range, or a length is too small.
    """
    if not isinstance(lengths, list | tuple):
        size = as_size("lengths", lengths, at_least)
        return size, size
    if len(lengths) != 2:
        raise InputError(f"lengths is {lengths!r}; give a number, or the least and the most")
    low, high = (as_size("lengths", length, at_least) for length in lengths)
    if low > high:
        raise InputError(f"lengths is {lengths!r}; give the least first")
    return low, high


def rows_of_a_test(longest: int, outputs: int) -> int:
    """Return how many rows a test has: at most 20,000, 2²⁰ steps and 2²⁶ outputs.

    Tests of long rows are not longer than others, nor larger: ``outputs`` is a row's numbers.
    """
    return max(100, min(20_000, 2**20 // longest, 2**26 // outputs))


def kept(lengths: tuple[int, int]) -> Lengths:
    """Return a range as a task's configuration has it: one number where it is one."""
    low, high = lengths
    return low if low == high else [low, high]


def draw_lengths(size: int, lengths: tuple[int, int], rng: np.random.Generator) -> IntArray | None:
    """Draw each row's length (B,); None, and no draw, where all are the same."""
    low, high = lengths
    return None if low == high else rng.integers(low, high + 1, size=size)


def with_padding(tokens: IntArray, lengths: IntArray | None) -> IntArray:
    """Return tokens (B, T) with padding past each row's end."""
    if lengths is None:
        return tokens
    return np.where(np.arange(tokens.shape[1]) < lengths[:, None], tokens, PADDING)


def lengths_of(x: NDArray) -> IntArray:
    """Return the lengths (B,) of tokens with padding (B, T)."""
    return np.asarray((x != PADDING).sum(axis=1))
