"""Dyck-(k, d): brackets of k kinds, nested at most d deep; the next one is to be said.

At depth 0 a bracket opens, at depth d the bracket opened last closes, and between them each happens
with probability ½; a bracket that opens is of any kind, all equally likely. A row is a stream that
begins at depth 0, so it may return there, and its end need not be closed.

Inputs: tokens (B, T): 0 … k − 1 open a bracket, k … 2k − 1 close one. Targets (B, T): the next
token, at every step.

Ladder, as cross-entropy in nats: chance ln 2k; the step alone, as depths are even after an even
number of steps; the last symbol, with the step; the depth alone, without kinds; the depth and the
last symbol, which tells the kind of a bracket that was just opened; oracle, which keeps the kinds
of all open brackets. Of one kind there is nothing to know beyond the depth. What comes next is not
certain, so the oracle's score is the optimum. With P_t(h) the probability of depth h after t steps,

    optimum = 1/T Σ_t [ P_t(0) ln k + P_t(0 < h < d) (ln 2 + ½ ln k) ]  →  (1 − 1/d) ln 2 + ½ ln k

for T → ∞.

Source: Hewitt et al. 2020 (arXiv 2010.07515), whose strings end; Suzgun et al. 2019 (arXiv
1911.03329).
"""

from functools import cached_property
from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import log_probabilities, one_hot
from lstm_baseline.tasks.metrics import CROSS_ENTROPY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row

_PAIRS = ("()", "[]", "{}", "<>")


@final
class Dyck(GeneratedTask):
    """Say which bracket comes next; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    num_kinds : int
        k, at least 1.
    max_depth : int
        d, at least 2: at a depth of at most 1 the last bracket tells everything.
    length : int
        T, at least 4.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "dyck"
    summary = "nested brackets are shown; which one comes next?"
    loss = "cross_entropy"
    metric = CROSS_ENTROPY
    per_step = True
    tokens = True
    noisy = True

    def __init__(self, num_kinds: int = 2, max_depth: int = 3, length: int = 40) -> None:
        self.num_kinds = as_size("num_kinds", num_kinds)
        why = "otherwise the last bracket tells everything"
        self.max_depth = as_size("max_depth", max_depth, at_least=2, why=why)
        self.length = as_size("length", length, at_least=4)
        self.input_size = self.output_size = 2 * self.num_kinds
        # How likely the next bracket opens at each depth.
        self._opening = np.full(self.max_depth + 1, 0.5)
        self._opening[[0, -1]] = 1, 0

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, T), y one symbol ahead."""
        shape = (size, self.length + 1)
        opens, depths = self._depths(rng.integers(2, size=shape, dtype=np.uint8))
        kinds = rng.integers(self.num_kinds, size=shape)
        innermost = self._innermost(opens, depths)
        # What closes is what was innermost before.
        closed = np.take_along_axis(kinds[:, :-1], innermost[:, :-1], axis=1) + self.num_kinds
        symbols = kinds.copy()
        symbols[:, 1:] = np.where(opens[:, 1:], kinds[:, 1:], closed)
        return Batch(symbols[:, :-1], symbols[:, 1:])

    @cached_property
    def optimum(self) -> float:
        """The lowest cross-entropy that a rule can reach, in nats."""
        occupied = self._occupancy.sum(axis=-1)[1:].mean(axis=0)
        kind = np.log(self.num_kinds)
        between = occupied[1:-1].sum() * (np.log(2) + kind / 2)
        return float(occupied[0] * kind + between)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        rules = [
            Predictor("chance", "chance", "any bracket", self._chance),
            Predictor("step alone", "heuristic", "how many brackets there were", self._step),
            Predictor(
                "last symbol", "heuristic", "how many there were, and the last one", self._last
            ),
        ]
        if self.num_kinds > 1:
            rules += [
                Predictor("depth alone", "heuristic", "the depth, without kinds", self._depth),
                Predictor(
                    "depth and last symbol",
                    "heuristic",
                    "the depth, and the kind of a bracket just opened",
                    self._depth_and_last,
                ),
            ]
        way = "the kinds of all open brackets"
        return [*rules, Predictor("oracle", "oracle", way, self._oracle)]

    def tell(self, x: NDArray) -> str:
        """Return the brackets, and the question."""
        return f"{self.answer(x)}; which bracket comes next, after each of them?"

    def answer(self, row: NDArray) -> str:
        """Return the brackets."""
        return in_a_row([self._written(k) for k in classes(row).tolist()], " ")

    def _written(self, symbol: int) -> str:
        side, kind = divmod(symbol, self.num_kinds)
        if self.num_kinds <= len(_PAIRS):
            return _PAIRS[kind][side]
        return f"({kind + 1}" if side == 0 else f"{kind + 1})"

    def _depths(self, coins: NDArray) -> tuple[NDArray, NDArray]:
        """Return whether each bracket opens, and the depth after it, both (B, T); coins are 0, 1.

        At depth 0 and d the coin decides nothing.
        """
        after = np.arange(self.max_depth + 1)[:, None] + [-1, 1]
        after[0], after[-1] = 1, self.max_depth - 1
        # Twice the depth is what the next coin is added to.
        flat = 2 * after.ravel()
        doubled = np.empty(coins.shape[::-1], np.int32)
        now = np.zeros(len(coins), np.int64)
        for t, coin in enumerate(np.ascontiguousarray(coins.T)):
            now = flat.take(now + coin)
            doubled[t] = now
        found = np.ascontiguousarray(doubled.T) // 2
        before = np.concatenate([np.zeros_like(found[:, :1]), found[:, :-1]], axis=1)
        return found > before, found

    def _innermost(self, opens: NDArray, depths: NDArray) -> IntArray:
        """Return the step at which the innermost open bracket opened, (B, T); 0 at depth 0."""
        steps = np.arange(opens.shape[1], dtype=np.int32)
        found = np.zeros(opens.shape, np.int32)
        for depth in range(1, self.max_depth + 1):
            here = depths == depth
            last = np.maximum.accumulate(np.where(opens & here, steps, 0), axis=1, dtype=np.int32)
            found = np.where(here, last, found)
        return found.astype(np.int64)

    @cached_property
    def _occupancy(self) -> FloatArray:
        """P(depth, whether the last bracket opened) after t = 0 … T brackets, (T + 1, d + 1, 2).

        Before the first bracket there is no last one, which stands as one that closed.
        """
        found = np.zeros((self.length + 1, self.max_depth + 1, 2))
        found[0, 0, 0] = 1
        for t in range(self.length):
            at = found[t].sum(axis=1)
            found[t + 1, 1:, 1] = (at * self._opening)[:-1]
            found[t + 1, :-1, 0] = (at * (1 - self._opening))[1:]
        return found

    def _read(self, x: NDArray) -> tuple[NDArray, NDArray]:
        """Return which brackets open, and the depth after each, both (B, T)."""
        opens = x < self.num_kinds
        depths = np.where(opens, 1, -1).cumsum(axis=1)
        return opens, depths.clip(0, self.max_depth)

    def _logits(self, opening: NDArray, kinds: NDArray) -> FloatArray:
        """Return logits from P(it opens), and P(kind | it closes), both broadcast to (B, T, k)."""
        opened = np.broadcast_to(opening / self.num_kinds, kinds.shape)
        return log_probabilities(np.concatenate([opened, (1 - opening) * kinds], axis=-1))

    def _any_kind(self, x: NDArray) -> NDArray:
        return np.broadcast_to(1 / self.num_kinds, (*x.shape, self.num_kinds))

    def _last_kind(self, x: NDArray) -> NDArray:
        """Return P(kind | it closes) of who knows the last bracket alone, (B, T, k)."""
        opens = x < self.num_kinds
        just_opened = one_hot(np.where(opens, x, 0), self.num_kinds)
        return np.where(opens[..., None], just_opened, 1 / self.num_kinds)

    def _chance(self, x: NDArray) -> FloatArray:
        return np.zeros((*x.shape, self.output_size), np.float32)

    def _step(self, x: NDArray) -> FloatArray:
        at = self._occupancy.sum(axis=-1)[1 : x.shape[1] + 1]
        return self._logits((at @ self._opening)[:, None], self._any_kind(x))

    def _last(self, x: NDArray) -> FloatArray:
        at = self._occupancy[1 : x.shape[1] + 1]
        # After the first bracket, which opens, none has closed: what stands there is never read.
        shares = np.maximum(at.sum(axis=1), 1e-300)
        opening = np.einsum("thl,h->tl", at, self._opening) / shares
        steps = np.arange(x.shape[1])
        known = opening[steps, (x < self.num_kinds).astype(np.int64)]
        return self._logits(known[..., None], self._last_kind(x))

    def _depth(self, x: NDArray) -> FloatArray:
        return self._logits(self._opening[self._read(x)[1]][..., None], self._any_kind(x))

    def _depth_and_last(self, x: NDArray) -> FloatArray:
        return self._logits(self._opening[self._read(x)[1]][..., None], self._last_kind(x))

    def _oracle(self, x: NDArray) -> FloatArray:
        opens, depths = self._read(x)
        kind = np.take_along_axis(x, self._innermost(opens, depths), axis=1) % self.num_kinds
        return self._logits(self._opening[depths][..., None], one_hot(kind, self.num_kinds))
