"""Bucket sort: say the symbols of a string in the order of the alphabet.

    y₁ ≤ y₂ ≤ … ≤ y_L                                       the symbols x₁ … x_L

It takes one counter for each symbol but one, and no order, so a network that counts can do it.

Inputs: tokens (B, 2L), L symbols, all equally likely, and then L marks. Targets and layout:
``transduction.py``.

Ladder, as accuracy at the marks: chance 1/num_symbols; the symbols in any order; by rank, the
likeliest symbol at each mark from the number of symbols alone; one counter, the same from how many
symbols belong to the first half of the alphabet (half of num_symbols, rounded down); oracle 1. Of
L independent symbols with P(x ≤ v) = p, the j-th in order is at most v with the probability that
a binomial number of L and p is at least j.

Source: Delétang et al. 2023 (arXiv 2207.02098), appendix A.1, with five symbols.
"""

from functools import cached_property, partial
from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray
from lstm_baseline.tasks.encoding import one_hot
from lstm_baseline.tasks.strings import Lengths
from lstm_baseline.tasks.transduction import NOTHING, Rule, TransductionTask, in_any_order


@final
class BucketSort(TransductionTask):
    """Sort symbols; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    lengths : int or (int, int)
        Number of symbols in a row, or the least and the most.
    num_symbols : int
        Symbols to draw from, at least 2.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "bucket-sort"
    summary = "symbols are shown; repeat them in the order of the alphabet"
    question = "which symbols were shown, in the order of the alphabet"
    way = "the symbols, in the order of the alphabet"

    def __init__(self, lengths: Lengths = 20, num_symbols: int = 5) -> None:
        self.num_symbols = as_size("num_symbols", num_symbols, at_least=2)
        self.symbols = self.answers = [str(k + 1) for k in range(self.num_symbols)]
        super().__init__(lengths)

    def draw(self, size: int, lengths: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw symbols, all equally likely."""
        return rng.integers(self.num_symbols, size=(size, self._range[1]))

    def transduce(self, tokens: IntArray, lengths: IntArray) -> IntArray:
        """Return each row's symbols in order."""
        places = np.arange(tokens.shape[1])
        # What stands past a row's end is larger than every symbol, and so goes last.
        within = np.where(places < lengths[:, None], tokens, self.num_symbols)
        in_order = np.sort(within, axis=1)
        return np.where(places < lengths[:, None], in_order, NOTHING)

    def heuristics(self) -> list[tuple[str, str, Rule]]:
        """Return the rules that count less than all symbols; of one symbol there is no less."""
        if self._range[1] == 1:
            return []
        any_order = partial(in_any_order, self.num_symbols)
        by_rank = "the likeliest symbol at this rank of so many"
        counter = "the same, from how many symbols belong to the first half of the alphabet"
        rules: list[tuple[str, str, Rule]] = [
            ("any order", "the symbols shown, in any order", any_order),
            ("by rank", by_rank, self._by_rank),
        ]
        # One counter sorts two symbols.
        return rules if self.num_symbols == 2 else [*rules, ("one counter", counter, self._counter)]

    @cached_property
    def _of_all(self) -> IntArray:
        return likeliest_by_rank(self._range[1], self.num_symbols)

    @cached_property
    def _of_halves(self) -> tuple[IntArray, IntArray]:
        half, most = self.num_symbols // 2, self._range[1]
        return likeliest_by_rank(most, half), likeliest_by_rank(most, self.num_symbols - half)

    def _by_rank(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        return one_hot(self._of_all[lengths], self.num_symbols)

    def _counter(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        half, places = self.num_symbols // 2, np.arange(tokens.shape[1])
        number = ((tokens < half) & (places < lengths[:, None])).sum(axis=1)[:, None]
        lower, upper = self._of_halves
        rest = np.maximum(places - number, 0)
        in_upper = half + upper[lengths[:, None] - number, rest]
        return one_hot(np.where(places < number, lower[number, places], in_upper), self.num_symbols)


def likeliest_by_rank(most: int, num_symbols: int) -> IntArray:
    """Return the likeliest symbol at each rank of n symbols drawn uniformly, (most + 1, most).

    Rows are n = 0, 1, …, columns ranks from 0 on; those that n symbols do not have hold anything.
    """
    p = np.arange(1, num_symbols + 1)[:, None] / num_symbols
    binomial = np.zeros((num_symbols, most + 1))  # of n and p, by symbol and number
    binomial[:, 0] = 1
    likeliest = np.zeros((most + 1, most), np.int64)
    for n in range(1, most + 1):
        binomial[:, 1:] = (1 - p) * binomial[:, 1:] + p * binomial[:, :-1]
        binomial[:, :1] *= 1 - p
        at_most = binomial[:, :0:-1].cumsum(axis=1)[:, ::-1]  # P(the symbol at a rank is ≤ v)
        likeliest[n] = np.diff(at_most, axis=0, prepend=0).argmax(axis=0)
    return likeliest
