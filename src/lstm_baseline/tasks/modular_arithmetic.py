"""Modular arithmetic: an expression of digits, and its value modulo 5.

Without brackets n digits have +, − or × between them, and × binds first:

    3 × 4 − 2 =                                    n digits, n − 1 operators: 2n symbols
    s = sum of the terms that have ended, p = the term that has not: s ± p mod 5

With brackets every operation has its own: ((3 × (4 − 2)) + 1) =, 4n − 2 symbols. All shapes of n
digits are equally likely, so brackets go about √n deep, and each open one has a value to be kept:
what takes two registers without brackets takes a stack with them, which no network of fixed size
has. Digits and operators are drawn uniformly.

Inputs: tokens (B, T). Targets: classes (B,), the value, after "=". ``lengths`` counts symbols;
lengths that no expression has are left out of a range.

Ladder, as accuracy: chance 1/5; always 0, as products make it the likeliest; without brackets, the
term that ended last; the value from left to right, as if all operators bound alike and there were
no brackets; with brackets, the value as if there were none; oracle 1.

Source: Delétang et al. 2023 (arXiv 2207.02098), appendix A.1, "modular arithmetic (simple)" and
"modular arithmetic"; theirs has negative numbers too, and draws shapes by a rule of its own.
"""

from functools import cached_property
from math import comb
from typing import final

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain, uniform
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.strings import (
    PADDING,
    Lengths,
    as_lengths_range,
    kept,
    lengths_of,
    rows_of_a_test,
)
from lstm_baseline.tasks.telling import classes, in_a_row

MODULUS = 5
PLUS, MINUS, TIMES, EQUALS, OPEN, CLOSE = range(MODULUS, MODULUS + 6)
_WORDS = (*map(str, range(MODULUS)), "+", "−", "×", "=", "(", ")")


@final
class ModularArithmetic(GeneratedTask):
    """Compute an expression modulo 5; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    lengths : int or (int, int)
        Number of symbols in a row, "=" included, or the least and the most.
    brackets : bool
        Whether every operation has brackets of its own, or none has.

    Raises
    ------
    InputError
        A parameter is out of range, or no expression has such a length.
    """

    name = "modular-arithmetic"
    summary = "digits, operators and perhaps brackets are shown; what is the value modulo 5?"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = False
    tokens = True
    output_size = MODULUS

    def __init__(self, lengths: Lengths = 20, brackets: bool = False) -> None:
        low, high = as_lengths_range(lengths)
        self.lengths, self.brackets = kept((low, high)), bool(brackets)
        self.input_size = len(_WORDS) if self.brackets else len(_WORDS) - 2
        # n digits make 2n symbols, or 4n − 2.
        numbers = np.arange(1, high // 2 + 1)
        symbols = self._symbols(numbers)
        possible = numbers[(symbols >= low) & (symbols <= high)]
        if not possible.size:
            written = f"{low}" if low == high else f"{low} to {high}"
            raise InputError(
                f"lengths is {written}; no expression has so many symbols: give "
                + ("2, 6, 10, …" if self.brackets else "an even number")
            )
        self.test_size = self.ladder_size = rows_of_a_test(high, MODULUS)
        self.validation_size = min(self.validation_size, self.test_size)
        self._digits = int(possible[0]), int(possible[-1])

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, T), y (B,)."""
        least, most = self._digits
        numbers = rng.integers(least, most + 1, size=size) if least < most else np.full(size, most)
        digits = rng.integers(MODULUS, size=(size, most), dtype=np.uint8).astype(np.int64)
        signs = rng.integers(PLUS, EQUALS, size=(size, most), dtype=np.uint8).astype(np.int64)
        if self.brackets:
            x = self._with_brackets(numbers, digits, signs, rng)
        else:
            x = np.empty((size, 2 * most), np.int64)
            x[:, ::2], x[:, 1::2] = digits, signs
        lengths = self._symbols(numbers)
        x[np.arange(size), lengths - 1] = EQUALS
        x[np.arange(x.shape[1]) >= lengths[:, None]] = PADDING
        return Batch(x, self._value(x), None if least == most else lengths)

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        rules = [
            Predictor("chance", "chance", "any value", self._chance),
            Predictor("zero", "heuristic", "always 0", self._zero),
        ]
        if self.brackets:
            text = "the value as if there were no brackets"
            rules.append(Predictor("no brackets", "heuristic", text, self._without_brackets))
        else:
            text = "the last product, with its sign"
            rules.append(Predictor("last term", "heuristic", text, self._last_term))
        text = "the value as if operators bound alike, from left to right"
        rules.append(Predictor("left to right", "heuristic", text, self._left_to_right))
        return [*rules, Predictor("oracle", "oracle", "the value", self._oracle)]

    def tell(self, x: NDArray) -> str:
        """Return the expression, and the question."""
        shown = [_WORDS[k] for k in x[: lengths_of(x[None])[0] - 1]]
        return f"{in_a_row(shown, ' ')}; what is its value modulo {MODULUS}?"

    def answer(self, row: NDArray) -> str:
        """Return the value."""
        return str(classes(row))

    def _symbols(self, digits: IntArray) -> IntArray:
        """Return the number of symbols of expressions with so many digits."""
        return 4 * digits - 2 if self.brackets else 2 * digits

    def _value(self, x: IntArray) -> IntArray:
        return _nested(x) if self.brackets else _flat(x)[0]

    def _chance(self, x: NDArray) -> FloatArray:
        return uniform(x, MODULUS)

    def _zero(self, x: NDArray) -> FloatArray:
        return certain(np.zeros(len(x), np.int64), MODULUS)

    def _last_term(self, x: NDArray) -> FloatArray:
        return certain(_flat(x)[1], MODULUS)

    def _without_brackets(self, x: NDArray) -> FloatArray:
        return certain(_flat(x)[0], MODULUS)

    def _left_to_right(self, x: NDArray) -> FloatArray:
        value, sign = np.zeros(len(x), np.int64), np.full(len(x), PLUS)
        for symbol in x.T:
            value = np.where(_is_digit(symbol), _apply(value, sign, symbol), value)
            sign = np.where(_is_operator(symbol), symbol, sign)
        return certain(value, MODULUS)

    def _oracle(self, x: NDArray) -> FloatArray:
        return certain(self._value(x), MODULUS)

    def _with_brackets(
        self, numbers: IntArray, digits: IntArray, signs: IntArray, rng: np.random.Generator
    ) -> IntArray:
        """Write expressions of numbers (B,) digits, all binary trees of them equally likely.

        From left to right: where a value is due, a bracket opens or a digit comes; after a value
        comes the operator of the innermost open bracket, or its end.
        """
        size, most = digits.shape
        rows = np.arange(size)
        x = np.full((size, 4 * most - 2), PADDING)
        chance = rng.random((size, 2 * most), dtype=np.float32)
        inner = numbers - 1  # brackets still to be opened
        due = np.ones(size, np.int64)  # values still to come before all open brackets can close
        depth, choices, digit = (np.zeros(size, np.int64) for _ in range(3))
        has_operator = np.zeros((size, most + 1), bool)  # of each open bracket
        expects = np.ones(size, bool)
        running = np.ones(size, bool)
        for t in range(x.shape[1]):
            opens = expects & running
            opens &= chance[rows, choices] < self._opening[inner, np.minimum(due, most)]
            says = expects & running & ~opens
            after = ~expects & running
            joins = after & ~has_operator[rows, depth]
            closes = after & ~joins
            x[opens, t] = OPEN
            x[says, t] = digits[says, digit[says]]
            x[joins, t] = signs[joins, digit[joins] - 1]
            x[closes, t] = CLOSE
            choices += opens | says
            digit += says
            inner -= opens
            due += opens
            due -= says
            depth += opens
            has_operator[opens, depth[opens]] = False
            has_operator[joins, depth[joins]] = True
            depth -= closes
            expects = np.where(says | closes, False, expects | joins)
            running &= expects | (depth > 0)
        return x

    @cached_property
    def _opening(self) -> FloatArray:
        """Probability that a bracket opens, by the brackets still to open and the values due.

        The forests of s trees with r inner nodes are s / (2r + s) · C(2r + s, r) (the ballot
        theorem); one whose first tree has an inner node at its root is a forest of s + 1 trees with
        r − 1.
        """
        most = self._digits[1]

        def forests(r: int, s: int) -> float:
            return s * comb(2 * r + s, r) / (2 * r + s) if r or s else 1.0

        table = np.zeros((most, most + 1))
        for r in range(1, most):
            for s in range(1, most + 1):
                table[r, s] = forests(r - 1, s + 1) / forests(r, s)
        return table.astype(np.float32)


def _is_digit(symbol: IntArray) -> NDArray:
    return (symbol >= 0) & (symbol < MODULUS)


def _is_operator(symbol: IntArray) -> NDArray:
    return (symbol >= PLUS) & (symbol <= TIMES)


def _apply(left: IntArray, operator: IntArray, right: IntArray) -> IntArray:
    """Return left, operator, right modulo 5."""
    signed = np.where(operator == MINUS, -right, right)
    found: IntArray = np.where(operator == TIMES, left * right, left + signed) % MODULUS
    return found


def _flat(x: IntArray) -> tuple[IntArray, IntArray]:
    """Return the value of expressions without brackets, × first, and their last term, (B,)."""
    counts = _is_digit(x) | _is_operator(x)
    if (x >= OPEN).any():  # brackets are passed over
        order = np.argsort(~counts, axis=1, kind="stable")
        x = np.take_along_axis(x, order, axis=1)
        counts = np.take_along_axis(counts, order, axis=1)
    digits = np.where(counts, x, 1)[:, ::2].T
    signs = np.full_like(digits, PLUS)
    signs[1:] = np.where(counts, x, TIMES)[:, 1 : 2 * len(digits) - 1 : 2].T
    # Past a row's end a term is multiplied by 1.
    is_factor, factors = signs == TIMES, np.where(signs == MINUS, -digits, digits)
    ended, term = np.zeros(len(x), np.int64), np.zeros(len(x), np.int64)
    for goes_on, factor in zip(is_factor, factors, strict=True):
        ended += np.where(goes_on, 0, term)
        term = np.where(goes_on, term, 1) * factor % MODULUS
    return (ended + term) % MODULUS, term


def _nested(x: IntArray) -> IntArray:
    """Return the value of expressions in which every operation has brackets, (B,)."""
    rows = np.arange(len(x))
    depth = np.zeros(len(x), np.int64)
    lefts = np.zeros((len(x), x.shape[1] // 4 + 2), np.int64)
    operators = np.full_like(lefts, PLUS)
    value = np.zeros(len(x), np.int64)
    for symbol in x.T:
        operates, closes = _is_operator(symbol), symbol == CLOSE
        value = np.where(_is_digit(symbol), symbol, value)
        depth += symbol == OPEN
        lefts[operates, depth[operates]] = value[operates]
        operators[operates, depth[operates]] = symbol[operates]
        joined = _apply(lefts[rows, depth], operators[rows, depth], value)
        value = np.where(closes, joined, value)
        depth -= closes
    return value
