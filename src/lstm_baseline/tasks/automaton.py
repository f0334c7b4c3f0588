"""An automaton: symbols come one by one, each changes the state, and the state is asked for.

    s₀ = start,  s_t = δ(s_{t−1}, k_t)                                   answer: γ(s_t)

A subclass gives symbols, states, δ as a table and γ. Symbols are drawn uniformly, so every rule
below is exact, by powers of the transition matrix.

Inputs: tokens (B, T), one a symbol; rows of ``lengths`` symbols. Targets: classes, (B,) after a
row's last symbol, or (B, T) after every symbol with ``every_step``.

Ladder, as accuracy: chance, any class; heuristics that know how many symbols there were, and the
last 0, 1, … of them, but nothing of those before: the likeliest answer from these alone, for as
many last symbols as gain anything, at most ``MOST_LAST``; oracle 1, which keeps the state.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np

from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.engine.wording import counted
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain, log_probabilities
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.strings import (
    Lengths,
    as_lengths_range,
    draw_lengths,
    kept,
    lengths_of,
    rows_of_a_test,
    with_padding,
)
from lstm_baseline.tasks.telling import classes, in_a_row

MOST_LAST = 2
"""Largest number of last symbols that a heuristic knows."""
_GAINS = 0.005


class AutomatonTask(GeneratedTask):
    """Tell the state of an automaton; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    lengths : int or (int, int)
        Number of symbols in a row, or the least and the most.
    every_step : bool
        Whether the answer is asked for after every symbol, or after the last one alone.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    loss = "cross_entropy"
    metric = ACCURACY
    tokens = True
    symbols: Sequence[str]
    """Symbols in words, by token."""
    answers: Sequence[str]
    """Answers in words, by class."""
    question: str
    """What is asked, for ``tell``."""
    start: int = 0
    """s₀."""
    way: str = "the state after every symbol"
    """What the oracle goes by."""

    def __init__(self, lengths: Lengths, every_step: bool) -> None:
        self._range = as_lengths_range(lengths)
        self.lengths, self.every_step = kept(self._range), bool(every_step)
        self.per_step = self.every_step
        self.input_size, self.output_size = len(self.symbols), len(self.answers)
        longest = self._range[1]
        outputs = self.output_size * (longest if self.every_step else 1)
        self.test_size = self.ladder_size = rows_of_a_test(longest, outputs)
        self.validation_size = min(self.validation_size, self.test_size)

    @cached_property
    @abstractmethod
    def transitions(self) -> IntArray:
        """δ, (states, symbols): the next state."""

    @cached_property
    @abstractmethod
    def answer_of_state(self) -> IntArray:
        """γ, (states,): the class of each state."""

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, T), y (B,) or (B, T)."""
        lengths = draw_lengths(size, self._range, rng)
        # Eight bits are drawn in a quarter of the time; no alphabet here has more than 256 symbols.
        symbols = rng.integers(self.input_size, size=(size, self._range[1]), dtype=np.uint8)
        x = with_padding(symbols.astype(np.int64), lengths)
        return Batch(x, self.answer_of_state[self._targets(self._states(symbols), x)], lengths)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "any answer", self._constant),
            *self._heuristics(),
            Predictor("oracle", "oracle", self.way, self._oracle),
        ]

    def tell(self, x: NDArray) -> str:
        """Return the symbols, and the question."""
        shown = [self.symbols[k] for k in x[: lengths_of(x[None])[0]]]
        return f"{in_a_row(shown, ' ')}; {self.question}?"

    def answer(self, row: NDArray) -> str:
        """Return the answer, or the answers after every symbol."""
        return in_a_row([self.answers[k] for k in np.atleast_1d(classes(row))], " ")

    def _states(self, symbols: IntArray) -> IntArray:
        """Return the state after every symbol, (B, T)."""
        flat, num_symbols = self.transitions.astype(np.uint8).ravel(), self.transitions.shape[1]
        states = np.empty(symbols.shape[::-1], np.uint8)
        state = np.full(len(symbols), self.start, np.int64)
        for t, now in enumerate(np.ascontiguousarray(symbols.T)):
            state = flat[state * num_symbols + now].astype(np.int64)
            states[t] = state
        return states.T

    def _targets(self, of_steps: NDArray, x: NDArray) -> NDArray:
        """Return what belongs to the targets: all of (B, T, …), or each row's last, (B, …)."""
        return of_steps if self.every_step else of_steps[np.arange(len(x)), lengths_of(x) - 1]

    def _constant(self, x: NDArray) -> FloatArray:
        shape = x.shape if self.every_step else x.shape[:1]
        return np.zeros((*shape, self.output_size), np.float32)

    def _oracle(self, x: NDArray) -> FloatArray:
        states = self._states(np.maximum(x, 0))
        return certain(self.answer_of_state[self._targets(states, x)], self.output_size)

    def _heuristics(self) -> list[Predictor]:
        """Return the rules that know the number of symbols and the last few of them."""
        rules: list[Predictor] = []
        best = 1 / self.output_size
        for number in range(MOST_LAST + 1):
            tables = self._beliefs(number)
            score = self._expected(tables)
            if score < best + _GAINS:
                continue
            best = score
            # A rule that is as good as the oracle leaves nothing to be learned beyond it.
            if score > 1 - _GAINS:
                break
            last = "" if number == 0 else f", and the last {counted(number, 'symbol')}"
            name = "length alone" if number == 0 else f"last {counted(number, 'symbol')}"
            rule: Callable[[NDArray], FloatArray] = partial(self._from_last, number, tables)
            description = f"the likeliest answer from the number of symbols{last}"
            rules.append(Predictor(name, "heuristic", description, rule))
        return rules

    def _beliefs(self, number: int) -> list[NDArray]:
        """Return for t = 0, 1, … symbols P(answer | t, the last ``number`` of them).

        Each is (V, …, V, O), with one axis for each of the last symbols that there are.
        """
        num_states, num_symbols = self.transitions.shape
        step = np.zeros((num_symbols, num_states, num_states))
        for k in range(num_symbols):
            step[k, np.arange(num_states), self.transitions[:, k]] = 1
        any_symbol = step.mean(axis=0)
        of_state = np.eye(self.output_size)[self.answer_of_state]
        state = np.eye(num_states)[self.start]
        before = [state]  # the distribution after t symbols of which none is known
        for _ in range(self._range[1]):
            before.append(before[-1] @ any_symbol)
        beliefs: list[NDArray] = []
        for t in range(self._range[1] + 1):
            known = min(number, t)
            belief = before[t - known]
            if t > number and np.allclose(belief, before[t - known - 1], atol=1e-12):
                beliefs.append(beliefs[-1])  # nothing is left of the start
                continue
            for _ in range(known):
                belief = np.tensordot(belief, step, axes=([-1], [1]))
            beliefs.append(belief @ of_state)
        return beliefs

    def _expected(self, beliefs: list[NDArray]) -> float:
        """Return the accuracy of always betting on the likeliest answer."""
        hits = np.array([belief.max(axis=-1).mean() for belief in beliefs])
        lengths = range(self._range[0], self._range[1] + 1)
        of_length = [hits[1 : n + 1].sum() if self.every_step else hits[n] for n in lengths]
        return float(sum(of_length) / (sum(lengths) if self.every_step else len(lengths)))

    def _from_last(self, number: int, beliefs: list[NDArray], x: NDArray) -> FloatArray:
        lengths = lengths_of(x)
        if not self.every_step:
            found = np.empty((len(x), self.output_size))
            for n in np.unique(lengths):
                rows, known = np.flatnonzero(lengths == n), min(number, int(n))
                last = tuple(x[rows, n - known + j] for j in range(known))
                found[rows] = beliefs[n][last] if known else beliefs[n]
            return log_probabilities(found)
        every = np.empty((*x.shape, self.output_size))
        for t in range(1, x.shape[1] + 1):
            known = min(number, t)
            last = tuple(np.maximum(x[:, t - known + j], 0) for j in range(known))
            every[:, t - 1] = beliefs[t][last] if known else beliefs[t]
        return log_probabilities(every)
