"""Reverse string: say the symbols of a string, the last one first.

    y_j = x_{L+1−j}                                         j = 1 … L

A stack does it. Unlike in copy memory, what came last is due first, so every symbol waits for
another time.

Inputs: tokens (B, 2L), L symbols, all equally likely, and then L marks. Targets and layout:
``transduction.py``.

Ladder, as accuracy at the marks: chance 1/num_symbols; the last symbol at every mark; the symbols
in any order; the ends: the last symbol at the first mark and the first symbol at the last one, and
between them the other symbols in any order; oracle 1.

Source: Delétang et al. 2023 (arXiv 2207.02098), appendix A.1, where strings are binary.
"""

from functools import partial
from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray
from lstm_baseline.tasks.encoding import one_hot
from lstm_baseline.tasks.strings import Lengths
from lstm_baseline.tasks.transduction import (
    NOTHING,
    Rule,
    TransductionTask,
    counts_of,
    in_any_order,
)


@final
class ReverseString(TransductionTask):
    """Say a string backwards; the module's docstring has the layout and the ladder.

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

    name = "reverse"
    summary = "symbols are shown; repeat them, the last one first"
    question = "which symbols were shown, the last one first"
    way = "the symbols, the last one first"

    def __init__(self, lengths: Lengths = 20, num_symbols: int = 2) -> None:
        self.num_symbols = as_size("num_symbols", num_symbols, at_least=2)
        self.symbols = self.answers = [str(k + 1) for k in range(self.num_symbols)]
        super().__init__(lengths)

    def draw(self, size: int, lengths: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw symbols, all equally likely."""
        return rng.integers(self.num_symbols, size=(size, self._range[1]))

    def transduce(self, tokens: IntArray, lengths: IntArray) -> IntArray:
        """Return each row's symbols, the last one first."""
        places = lengths[:, None] - 1 - np.arange(tokens.shape[1])
        backwards = np.take_along_axis(tokens, np.maximum(places, 0), axis=1)
        return np.where(places >= 0, backwards, NOTHING)

    def heuristics(self) -> list[tuple[str, str, Rule]]:
        """Return the rules that keep less than the string; of one symbol there is no less."""
        most = self._range[1]
        rules: list[tuple[str, str, Rule]] = []
        if most > 1:
            any_order = partial(in_any_order, self.num_symbols)
            rules += [
                ("last symbol", "the symbol shown last", self._last),
                ("any order", "the symbols shown, in any order", any_order),
            ]
        if most > 2:
            ends = "the last symbol, the first one at the end, and the others in any order"
            rules.append(("ends", ends, self._ends))
        return rules

    def _last(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        last = tokens[np.arange(len(tokens)), lengths - 1]
        return one_hot(np.repeat(last[:, None], tokens.shape[1], axis=1), self.num_symbols)

    def _ends(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        rows = np.arange(len(tokens))
        first, last = (one_hot(tokens[rows, place], self.num_symbols) for place in (0, lengths - 1))
        others = counts_of(tokens, lengths, self.num_symbols) - first - last
        # Where nothing is left between the ends, no mark is either.
        between = np.maximum(others, 0) / np.maximum(lengths - 2, 1)[:, None]
        beliefs = np.repeat(between[:, None], tokens.shape[1], axis=1).astype(np.float32)
        beliefs[rows, lengths - 1] = first
        beliefs[:, 0] = last
        return beliefs
