"""A transduction: a string is read to its end, and then another one is to be said, made of it.

A row has L tokens, and then marks, at each of which one symbol of the answer is due. There are as
many marks as the longest answer to L tokens has symbols, so that their number tells nothing.

Inputs: tokens (B, T), the string's and then marks; rows of ``lengths`` tokens before the marks,
padding after them. Targets (B, T): symbols of the answer, at the marks alone. A mark after the end
of the answer counts neither in the loss nor in the metric.

Ladder, as accuracy at the marks: chance, any symbol of the answer; the heuristics of each task, all
of which know how many tokens there were; oracle 1.

Source: Delétang et al. 2023 (arXiv 2207.02098), whose suite leaves out in the metric, and not in
the loss, what comes after an answer's end.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import log_probabilities, one_hot
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.strings import (
    Lengths,
    as_lengths_range,
    draw_lengths,
    kept,
    rows_of_a_test,
    with_padding,
)
from lstm_baseline.tasks.telling import classes, in_a_row

NOTHING = -1
"""Stands past the end of an answer."""

Rule = Callable[[IntArray, IntArray], FloatArray]
"""(tokens (B, L), lengths (B,)) -> beliefs (B, A, O), probabilities at each of the marks."""


class TransductionTask(GeneratedTask):
    """Say a string made of another; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    lengths : int or (int, int)
        Number of tokens before the marks, or the least and the most.
    at_least : int
        Least number of tokens that makes sense.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    loss = "cross_entropy"
    metric = ACCURACY
    per_step = True
    tokens = True
    symbols: Sequence[str]
    """Tokens in words; the mark comes after them."""
    answers: Sequence[str]
    """Symbols of the answer in words, by class."""
    question: str
    """What is asked, for ``tell``."""
    more_marks: int = 0
    """Marks beyond one for each token."""
    way: str
    """What the oracle goes by."""

    def __init__(self, lengths: Lengths, at_least: int = 1) -> None:
        self._range = as_lengths_range(lengths, at_least)
        self.lengths = kept(self._range)
        self.input_size, self.output_size = len(self.symbols) + 1, len(self.answers)
        self._mark = len(self.symbols)
        steps = 2 * self._range[1] + self.more_marks
        self.test_size = self.ladder_size = rows_of_a_test(steps, steps * self.output_size)
        self.validation_size = min(self.validation_size, self.test_size)

    @abstractmethod
    def draw(self, size: int, lengths: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw tokens (B, L), L the largest length; past a row's length anything may stand."""

    @abstractmethod
    def transduce(self, tokens: IntArray, lengths: IntArray) -> IntArray:
        """Return answers (B, A), A the number of marks, and ``NOTHING`` past an answer's end."""

    @abstractmethod
    def heuristics(self) -> list[tuple[str, str, Rule]]:
        """Return names, descriptions and rules."""

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, T), and the mask of the marks that count."""
        most = self._range[1]
        drawn = draw_lengths(size, self._range, rng)
        lengths = np.full(size, most) if drawn is None else drawn
        tokens = self.draw(size, lengths, rng)
        x = np.full((size, 2 * most + self.more_marks), self._mark)
        x[:, :most] = np.where(np.arange(most) < lengths[:, None], tokens, self._mark)
        ends = None if drawn is None else 2 * drawn + self.more_marks
        x = with_padding(x, ends)
        due = self._at_steps(self.transduce(tokens, lengths), lengths)
        y = np.where(x == self._mark, due, NOTHING)
        return Batch(x, np.maximum(y, 0), ends, mask=y != NOTHING)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "any symbol", self._chance),
            *(
                Predictor(name, "heuristic", description, partial(self._say, rule))
                for name, description, rule in self.heuristics()
            ),
            Predictor("oracle", "oracle", self.way, partial(self._say, self._oracle)),
        ]

    def tell(self, x: NDArray) -> str:
        """Return the tokens, and the question."""
        shown = [self.symbols[k] for k in x[(x >= 0) & (x < self._mark)]]
        return f"{in_a_row(shown, ' ')}; {self.question}?"

    def answer(self, row: NDArray) -> str:
        """Return the symbols of the answer."""
        return in_a_row([self.answers[k] for k in classes(row)], " ")

    def _at_steps(self, of_marks: NDArray, lengths: IntArray) -> NDArray:
        """Return for every step what belongs to its mark, (B, T, …), of what marks have (B, A, …).

        Before the marks it is anything.
        """
        steps = np.arange(2 * self._range[1] + self.more_marks)
        places = (steps - lengths[:, None]).clip(0, of_marks.shape[1] - 1)
        return np.asarray(of_marks[np.arange(len(of_marks))[:, None], places])

    def _chance(self, x: NDArray) -> FloatArray:
        return np.zeros((*x.shape, self.output_size), np.float32)

    def _oracle(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        return one_hot(np.maximum(self.transduce(tokens, lengths), 0), self.output_size)

    def _say(self, rule: Rule, x: NDArray) -> FloatArray:
        """Return a rule's logits (B, T, O), which are equal where nothing is asked."""
        shown = x[:, : self._range[1]]
        lengths = np.asarray(((shown >= 0) & (shown < self._mark)).sum(axis=1))
        tokens = np.where(np.arange(shown.shape[1]) < lengths[:, None], shown, 0)
        beliefs = self._at_steps(rule(tokens, lengths), lengths)
        is_asked = (x == self._mark)[..., None]
        return log_probabilities(np.where(is_asked, beliefs, np.float32(1)))


def counts_of(tokens: IntArray, lengths: IntArray, num_symbols: int) -> IntArray:
    """Return how often each symbol occurs within each row's length, (B, num_symbols)."""
    within = np.arange(tokens.shape[1]) < lengths[:, None]
    return np.stack([((tokens == k) & within).sum(axis=1) for k in range(num_symbols)], axis=1)


def in_any_order(num_symbols: int, tokens: IntArray, lengths: IntArray) -> FloatArray:
    """Return the beliefs (B, L, num_symbols) of who knows how often each symbol occurs."""
    shares = counts_of(tokens, lengths, num_symbols) / lengths[:, None]
    everywhere = np.broadcast_to(shares[:, None], (*tokens.shape, num_symbols))
    return everywhere.astype(np.float32)
