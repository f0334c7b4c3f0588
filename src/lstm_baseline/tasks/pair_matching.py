"""Pair matching: pairs of symbols are shown one after another; tell what went with x.

All symbols of a story differ. The question names either member of any pair; the answer is the
other one.

Inputs (B, num_pairs + 1, 2·num_symbols + 1), by column:

===========  ==============================================================
num_symbols  a pair's first symbol; at the last step the symbol asked about
num_symbols  a pair's second symbol; empty at the last step
1            question flag, 1 at the last step
===========  ==============================================================

Targets: the partner, among num_symbols classes.

Ladder: chance 1/num_symbols; any symbol seen, other than x, 1/(2·num_pairs − 1); a symbol from the
other side of the pairs than x (x was a first symbol, so one of the second ones), 1/num_pairs, which
matches no pair; the pair shown last, for who remembers no other: its other symbol if x is in it,
else any symbol but x, 1/num_pairs + (1 − 1/num_pairs)/(num_symbols − 1); oracle 1.

Source: this project, after paired-associate recall.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import (
    certain,
    columns,
    drawn,
    log_probabilities,
    one_hot,
    shuffled_rows,
    uniform,
)
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row, numbered


@final
class PairMatching(GeneratedTask):
    """Name a symbol's partner; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    num_pairs : int
        Pairs shown before the question, at least 2.
    num_symbols : int
        Symbols to draw from, at least 2·`num_pairs`.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "pair-matching"
    summary = "pairs of symbols are shown one after another; what went with x?"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = False

    def __init__(self, num_pairs: int = 4, num_symbols: int = 16) -> None:
        self.num_pairs = as_size("num_pairs", num_pairs, at_least=2)
        self.num_symbols = as_size(
            "num_symbols", num_symbols, 2 * self.num_pairs, why="the symbols of all pairs differ"
        )
        self._first, self._second, self._question = columns(self.num_symbols, self.num_symbols, 1)
        self.input_size = self._question.stop
        self.output_size = self.num_symbols

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, num_pairs + 1, I), y (B,)."""
        rows = np.arange(size)
        symbols = shuffled_rows(size, self.num_symbols, rng)[:, : 2 * self.num_pairs]
        asked = rng.integers(2 * self.num_pairs, size=size)
        x = np.zeros((size, self.num_pairs + 1, self.input_size), np.float32)
        x[:, :-1, self._first] = one_hot(symbols[:, 0::2], self.num_symbols)
        x[:, :-1, self._second] = one_hot(symbols[:, 1::2], self.num_symbols)
        x[:, -1, self._first] = one_hot(symbols[rows, asked], self.num_symbols)
        x[:, -1, self._question] = 1
        # 2k and 2k + 1 are the places of a pair: they differ in the lowest bit.
        return Batch(x, symbols[rows, asked ^ 1])

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "any symbol", lambda x: uniform(x, self.num_symbols)),
            Predictor("any symbol seen", "heuristic", "any symbol seen but x", self._any_seen),
            Predictor(
                "other side",
                "heuristic",
                "any symbol from the side of the pairs where x is not",
                self._other_side,
            ),
            Predictor(
                "last pair",
                "heuristic",
                "the partner if x is in the pair shown last, else any symbol but x",
                self._last_pair,
            ),
            Predictor("oracle", "oracle", "the other symbol of the pair with x", self._oracle),
        ]

    def with_other_questions(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Ask for another symbol of the story; no two symbols have the same partner.

        It is drawn among all symbols of the pairs but the one asked for, its partner included.
        """
        others = self._seen(batch.x) - batch.x[:, -1, self._first] == 1
        x = batch.x.copy()
        x[:, -1, self._first] = one_hot(drawn(others, rng), self.num_symbols)
        return batch._replace(x=x)

    def tell(self, x: FloatArray) -> str:
        """Return the pairs in their order, and the question."""
        pairs = [
            f"{numbered('symbol', step[self._first])} with {numbered('symbol', step[self._second])}"
            for step in x[:-1]
        ]
        return f"{in_a_row(pairs)}; what went with {numbered('symbol', x[-1, self._first])}?"

    def answer(self, row: NDArray) -> str:
        """Return the symbol."""
        return f"symbol {classes(row) + 1}"

    def _seen(self, x: FloatArray) -> FloatArray:
        """Return 1 for each symbol of the pairs, else 0 (B, num_symbols)."""
        pairs = x[:, :-1]
        seen: FloatArray = (pairs[..., self._first] + pairs[..., self._second]).sum(axis=1)
        return seen

    def _any_seen(self, x: FloatArray) -> FloatArray:
        return log_probabilities(self._seen(x) - x[:, -1, self._first])

    def _other_side(self, x: FloatArray) -> FloatArray:
        asked = x[:, -1, self._first]
        first = x[:, :-1, self._first].sum(axis=1)
        second = x[:, :-1, self._second].sum(axis=1)
        is_first = (first * asked).any(axis=1, keepdims=True)
        return log_probabilities(np.where(is_first, second, first))

    def _last_pair(self, x: FloatArray) -> FloatArray:
        asked = x[:, -1, self._first]
        last = x[:, -2, self._first] + x[:, -2, self._second]
        is_in_it = (last * asked).any(axis=1, keepdims=True)
        return log_probabilities(np.where(is_in_it, last, 1) - asked)

    def _oracle(self, x: FloatArray) -> FloatArray:
        asked = x[:, -1:, self._first].argmax(axis=-1)
        first = x[:, :-1, self._first].argmax(axis=-1)
        second = x[:, :-1, self._second].argmax(axis=-1)
        partner = np.where(first == asked, second, 0) + np.where(second == asked, first, 0)
        return certain(partner.sum(axis=1), self.num_symbols)
