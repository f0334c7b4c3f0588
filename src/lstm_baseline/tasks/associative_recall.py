"""Multi-query associative recall (MQAR): pairs of key and value, then keys, each at its own time.

A row begins with its pairs, K V K V …, keys and values without repetition. In the rest, each key
comes once more, at an even distance from the pairs; the distances are drawn without replacement
with probabilities p(j) ∝ j^(a − 1) for j = 1, 2, …, so most are short and some are long. At a key
the target is its value; no other step counts. All other steps hold tokens drawn at random.

Inputs: tokens (B, T): 0 … V/2 − 1 as keys (0 is none), V/2 … V − 1 as values. Targets (B, T):
tokens. A vocabulary of thousands makes it hard to keep pairs in a state of fixed size.

Ladder, as accuracy at the keys: chance 1/V; any value 2/V; a value that was shown, 1/pairs; the
value that is likeliest at this distance, as the first pairs drawn have the shortest ones; oracle 1,
which keeps the pairs.

Source: Arora et al. 2024 (arXiv 2312.04927), as their generator has it, where V is 8,192 and
(length, pairs) go from (64, 4) to (256, 64).
"""

from functools import cached_property
from typing import final

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_number, as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain, log_probabilities
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row

_COUNTED = 50_000
"""Draws from which the likeliest pair at each distance is counted."""


@final
class AssociativeRecall(GeneratedTask):
    """Say the value that belongs to a key; the module's docstring has layout and ladder.

    Parameters
    ----------
    vocabulary : int
        V, an even number.
    length : int
        T, an even number of at least 4 · num_pairs.
    num_pairs : int
        Pairs in a row, at least 2; there are more keys than that.
    power : float
        a, above 0; 1 makes all distances equally likely.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "mqar"
    summary = "keys with values are shown, then keys; which value belongs to each?"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = True
    tokens = True

    def __init__(
        self, vocabulary: int = 64, length: int = 64, num_pairs: int = 4, power: float = 0.01
    ) -> None:
        self.num_pairs = as_size("num_pairs", num_pairs, at_least=2)
        self.vocabulary = as_size(
            "vocabulary", vocabulary, at_least=2 * self.num_pairs + 2, why="more keys than pairs"
        )
        self.length = as_size(
            "length", length, at_least=4 * self.num_pairs, why="pairs, and as many keys"
        )
        for name in ("vocabulary", "length"):
            if getattr(self, name) % 2:
                raise InputError(f"{name} is {getattr(self, name)}; give an even number")
        self.power = as_number("power", power)
        if self.power <= 0:
            raise InputError(f"power is {power!r}; give a number above 0")
        self.input_size = self.output_size = self.vocabulary
        self._first_value = self.vocabulary // 2
        self._start = 2 * self.num_pairs
        # Predictions are (targets, V): no more of them at once than a quarter of a gigabyte.
        most = max(100, 2**26 // (self.num_pairs * self.vocabulary))
        self.test_size = self.ladder_size = min(20_000, most)
        self.validation_size = min(2000, most)

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, T), and the mask of the keys asked."""
        n, half = self.num_pairs, self._first_value
        keys = 1 + _distinct(size, n, half - 1, rng)
        values = half + _distinct(size, n, half, rng)
        asked = self._start + 2 * self._distances(size, rng)
        x = rng.integers(self.vocabulary, size=(size, self.length))
        x[:, : self._start : 2], x[:, 1 : self._start : 2] = keys, values
        y = np.zeros_like(x)
        mask = np.zeros(x.shape, bool)
        for array, content in ((x, keys), (y, values), (mask, True)):
            np.put_along_axis(array, asked, content, axis=1)
        return Batch(x, y, mask=mask)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "any token", self._chance),
            Predictor("any value", "heuristic", "any of the values", self._any_value),
            Predictor("value shown", "heuristic", "any value that was shown", self._shown),
            Predictor(
                "by distance",
                "heuristic",
                "the value of the pair that is likeliest to be asked for here",
                self._by_distance,
            ),
            Predictor("oracle", "oracle", "the value shown with the key", self._oracle),
        ]

    def tell(self, x: NDArray) -> str:
        """Return the pairs, the tokens after them, and the question."""
        pairs = [f"{k} → {v}" for k, v in zip(*x[: self._start].reshape(-1, 2).T, strict=True)]
        rest = in_a_row(x[self._start :], " ")
        return f"{in_a_row(pairs, ', ')}; then {rest}; which values belong to the keys?"

    def answer(self, row: NDArray) -> str:
        """Return the values."""
        return in_a_row(classes(row).tolist(), " ")

    def _distances(self, size: int, rng: np.random.Generator) -> IntArray:
        """Draw the distances of the pairs' keys, in steps of two, (B, pairs).

        Drawn one after the other without replacement, each with probabilities in proportion to p:
        the order of exponential numbers divided by p (Efraimidis and Spirakis 2006).
        """
        places = (self.length - self._start) // 2
        p = np.arange(1, places + 1) ** (self.power - 1)
        waiting = rng.standard_exponential((size, places), dtype=np.float32) / p.astype(np.float32)
        drawn: IntArray = waiting.argsort(axis=1)[:, : self.num_pairs]
        return drawn

    @cached_property
    def _likeliest(self) -> IntArray:
        """The pair that is most often asked for at each distance."""
        drawn = self._distances(_COUNTED, np.random.default_rng(0))
        counts = np.zeros((self.num_pairs, (self.length - self._start) // 2), np.int64)
        for pair in range(self.num_pairs):
            counts[pair] = np.bincount(drawn[:, pair], minlength=counts.shape[1])
        likeliest: IntArray = counts.argmax(axis=0)
        return likeliest

    def _chance(self, x: NDArray) -> FloatArray:
        return np.broadcast_to(np.float32(0), (*x.shape, self.vocabulary))

    def _any_value(self, x: NDArray) -> FloatArray:
        of_tokens = np.arange(self.vocabulary) >= self._first_value
        return np.broadcast_to(log_probabilities(of_tokens), (*x.shape, self.vocabulary))

    def _shown(self, x: NDArray) -> FloatArray:
        shown = np.zeros((len(x), 1, self.vocabulary))
        np.put_along_axis(shown[:, 0], x[:, 1 : self._start : 2], 1, axis=1)
        return np.broadcast_to(log_probabilities(shown), (*x.shape, self.vocabulary))

    def _by_distance(self, x: NDArray) -> FloatArray:
        guesses = np.zeros(x.shape, np.int64)
        guesses[:, self._start :: 2] = x[:, 1 : self._start : 2][:, self._likeliest]
        return certain(guesses, self.vocabulary)

    def _oracle(self, x: NDArray) -> FloatArray:
        keys, values = x[:, : self._start : 2], x[:, 1 : self._start : 2]
        same = x[:, :, None] == keys[:, None]
        found = np.take_along_axis(values, same.argmax(axis=-1), axis=1)
        return certain(found, self.vocabulary)


def _distinct(size: int, number: int, among: int, rng: np.random.Generator) -> IntArray:
    """Draw (size, number) whole numbers below ``among``, without repetition within a row."""
    if among < number * number:
        return rng.random((size, among), dtype=np.float32).argsort(axis=1)[:, :number]
    drawn = rng.integers(among, size=(size, number))
    again = np.arange(size)
    while len(again):
        # Rows with a repetition are drawn anew as a whole, so all rows without one are alike.
        ordered = np.sort(drawn[again], axis=1)
        again = again[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
        drawn[again] = rng.integers(among, size=(len(again), number))
    return drawn
