"""aⁿbⁿcⁿ: as many b's as a's, and as many c's; the next symbol is to be said.

A row begins with the mark "#"; then come words, aⁿbⁿcⁿ, each followed by the mark and with an n of
its own, drawn uniformly from the range N₁ … N₂, until the row is full. It holds many words, and not
one, as there are no more different words than n's: what a test would show had been seen in
training. With num_symbols = 2 words are aⁿbⁿ.

Inputs: tokens (B, T): a, b, c, and the mark. Targets (B, T): the next token, at every step.

Ladder, as cross-entropy in nats. Only n is uncertain; with N = N₂ − N₁ + 1, a word of a long row
costs

    oracle           ln N    counts: b's and c's end when they are n, a's after k of them with
                             probability P(n = k | n ≥ k)
    last run alone   2 ln N  compares b's with a's, and knows of a run of c's how long it is
    runs alone       3 ln N  knows of every run how long it is

Besides, chance is ln (num_symbols + 1) at every step, and one rule knows the last symbol alone, and
how often a run of it ends. With two symbols "runs alone" costs 2 ln N, and "last run alone" is left
out. The oracle's score is the optimum; with u_t the probability of a mark at step t, and h(k) the
entropy of whether the a's end after k of them,

    optimum = 1/T Σ_t Σ_k u_{t−k} P(n ≥ k) h(k)  →  ln N / (num_symbols (N₁ + N₂)/2 + 1)

for T → ∞; k runs from 1 to N₂, and t from 0 to T − 1.

Source: Gers and Schmidhuber 2001, one word at a time; Weiss et al. 2018 (arXiv 1805.04908); Lan et
al. 2022 (arXiv 2111.00600), who hold networks against the optimum.
"""

from functools import cached_property, partial
from itertools import groupby
from typing import final

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import log_probabilities, one_hot
from lstm_baseline.tasks.metrics import CROSS_ENTROPY, Batch
from lstm_baseline.tasks.strings import Lengths
from lstm_baseline.tasks.telling import classes, in_a_row


@final
class Counting(GeneratedTask):
    """Say what comes next in words aⁿbⁿcⁿ; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    n : int or (int, int)
        N₂, at least 2, with N₁ = 1; or the least and the most n, which differ.
    num_symbols : int
        2 for aⁿbⁿ, 3 for aⁿbⁿcⁿ.
    length : int
        T, at least the tokens of the longest word with a mark on both sides.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "anbncn"
    summary = "words of as many a's as b's and c's are shown; what comes next?"
    loss = "cross_entropy"
    metric = CROSS_ENTROPY
    per_step = True
    tokens = True
    noisy = True

    def __init__(self, n: Lengths = 10, num_symbols: int = 3, length: int = 128) -> None:
        self._range = _as_range(n)
        self.n = self._range[1] if self._range[0] == 1 else list(self._range)
        self.num_symbols = as_size("num_symbols", num_symbols, at_least=2, at_most=3)
        longest = self.num_symbols * self._range[1] + 2
        self.length = as_size("length", length, at_least=longest, why="the longest word")
        self.input_size = self.output_size = self.num_symbols + 1
        self._mark = self.num_symbols
        self._words = "abc"[: self.num_symbols] + "#"

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, T), y one symbol ahead."""
        low, high = self._range
        steps, shortest = self.length + 1, self.num_symbols * low + 1
        n = rng.integers(low, high + 1, size=(size, -(-steps // shortest)))
        # A word's runs: the mark before it, then n of each symbol.
        runs = np.repeat(n[..., None], self.num_symbols + 1, axis=-1)
        runs[..., 0] = 1
        ends = runs.reshape(size, -1).cumsum(axis=1)
        begins = np.zeros((size, steps), np.uint8)
        row, run = (ends < steps).nonzero()
        begins[row, ends[row, run]] = 1
        number = begins.cumsum(axis=1, dtype=np.int64)  # of runs that have ended
        symbols = (number + self._mark) % self.input_size
        return Batch(symbols[:, :-1], symbols[:, 1:])

    @cached_property
    def optimum(self) -> float:
        """The lowest cross-entropy that a rule can reach, in nats."""
        total = 0.0
        for k in range(1, self._range[1] + 1):
            p = float(self._hazard[k])
            entropy = -sum(q * np.log(q) for q in (p, 1 - p) if q > 0)
            # The row ends before the k-th a of a word whose mark is one of its last k tokens.
            total += self._marks[: self.length - k].sum() * self._at_least[k] * entropy
        return float(total / self.length)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        rules = [
            Predictor("chance", "chance", "any symbol", self._chance),
            Predictor("last symbol", "heuristic", "the last symbol alone", self._last),
            Predictor(
                "runs alone",
                "heuristic",
                "how long this run of one symbol is",
                partial(self._counted, 1),
            ),
        ]
        if self.num_symbols > 2:
            rules.append(
                Predictor(
                    "last run alone",
                    "heuristic",
                    "the a's compared with the b's, and how long a run of c's is",
                    partial(self._counted, 2),
                )
            )
        way = "how many a's there were, in all runs"
        oracle = partial(self._counted, self.num_symbols)
        return [*rules, Predictor("oracle", "oracle", way, oracle)]

    def tell(self, x: NDArray) -> str:
        """Return the runs, each with its length, and the question."""
        return f"{self.answer(x)}; which symbol comes next, after each of them?"

    def answer(self, row: NDArray) -> str:
        """Return the symbols, each with the length of its run."""
        runs = [(self._words[k], len(list(run))) for k, run in groupby(classes(row).tolist())]
        return in_a_row([f"{k}{'' if number == 1 else number}" for k, number in runs], " ")

    @cached_property
    def _at_least(self) -> FloatArray:
        """P(n ≥ k) for k = 0 … N₂."""
        low, high = self._range
        return np.minimum(1.0, (high + 1 - np.arange(high + 1)) / (high + 1 - low))

    @cached_property
    def _hazard(self) -> FloatArray:
        """P(n = k | n ≥ k) for k = 0 … N₂."""
        low, high = self._range
        k = np.arange(high + 1)
        return np.where(k < low, 0.0, 1 / (high + 1 - k))

    @cached_property
    def _marks(self) -> FloatArray:
        """P(a mark stands at step t), (T,)."""
        low, high = self._range
        words = self.num_symbols * np.arange(low, high + 1) + 1
        marks = np.zeros(self.length)
        marks[0] = 1
        for t in range(1, self.length):
            marks[t] = marks[t - words[words <= t]].sum() / len(words)
        return marks

    @cached_property
    def _runs(self) -> tuple[FloatArray, FloatArray]:
        """By symbol and length of its run so far, steps of a row and how many end a run.

        Expected numbers, exactly, (num_symbols + 1, N₂ + 1) each.
        """
        low, high = self._range
        begun = self._marks.cumsum()
        steps, ends = np.zeros((2, self.input_size, high + 1))
        for n in range(low, high + 1):
            symbols = np.append(self._mark, np.repeat(np.arange(self.num_symbols), n))
            number = np.append(1, np.tile(np.arange(1, n + 1), self.num_symbols))
            # A word reaches this far within the row if its mark stands as far before the end.
            reach = begun[self.length - len(symbols) :][::-1]
            np.add.at(steps, (symbols, number), reach)
            is_end = (number == n) | (symbols == self._mark)
            np.add.at(ends, (symbols, number), reach * is_end)
        return steps, ends

    @cached_property
    def _end_after(self) -> FloatArray:
        """P(a run ends | symbol, length so far), (num_symbols + 1, N₂ + 1); 1 where none is."""
        steps, ends = self._runs
        return np.divide(ends, steps, out=np.ones_like(ends), where=steps > 0)

    def _logits(self, x: NDArray, ending: NDArray) -> FloatArray:
        """Return logits of who believes that runs end with these probabilities (B, T)."""
        now, after = (one_hot((x + k) % self.input_size, self.input_size) for k in (0, 1))
        ending = ending[..., None]
        return log_probabilities(now * (1 - ending) + after * ending)

    def _chance(self, x: NDArray) -> FloatArray:
        return np.zeros((*x.shape, self.output_size), np.float32)

    def _last(self, x: NDArray) -> FloatArray:
        steps, ends = (of_lengths.sum(axis=1) for of_lengths in self._runs)
        return self._logits(x, (ends / steps)[x])

    def _counted(self, compared: int, x: NDArray) -> FloatArray:
        """Return logits of who counts runs, and compares those of the first symbols."""
        steps = np.arange(x.shape[1])
        begins = np.concatenate([np.ones((len(x), 1), bool), x[:, 1:] != x[:, :-1]], axis=1)
        number = 1 + steps - np.maximum.accumulate(np.where(begins, steps, 0), axis=1)
        last_a = np.maximum.accumulate(np.where(x == 0, steps, 0), axis=1)
        n = np.take_along_axis(number, last_a, axis=1)
        ending = self._end_after[x, np.minimum(number, self._range[1])]
        is_known = (x > 0) & (x < compared)
        ending = np.where(is_known, number >= n, ending)
        return self._logits(x, ending)


def _as_range(n: object) -> tuple[int, int]:
    """Return the least and the most n."""
    if not isinstance(n, list | tuple):
        return 1, as_size("n", n, at_least=2)
    if len(n) != 2:
        raise InputError(f"n is {n!r}; give the most, or the least and the most")
    low, high = as_size("n", n[0]), as_size("n", n[1])
    if low >= high:
        raise InputError(f"n is {n!r}; give the least first, and a larger one")
    return low, high
