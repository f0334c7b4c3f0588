"""Stack manipulation: a stack is shown, then actions on it; say what it holds in the end.

A row begins with the stack's content, bits from bottom to top; then come actions, each "pop",
"push 0" or "push 1". A pop on an empty stack does nothing. The answer is the stack from the top
down, and then its end.

Inputs: tokens (B, 2L + 1), L tokens, bits and then actions, and then L + 1 marks. The number of
bits is 1 … L − 1, all equally likely, as are both bits and all three actions. Targets and layout:
``transduction.py``; marks after the end count nowhere.

Ladder, as accuracy at the marks that count: chance ⅓; the initial stack, as if there were no
actions; the actions alone, as if the stack had been empty; the pushes alone, as if there were no
pops; the height alone, which knows where the end is and guesses bits; the height and the last
action, which knows the bit at the top too, if it was pushed last; the height with the pushes alone;
oracle 1.

Source: Delétang et al. 2023 (arXiv 2207.02098), appendix A.1.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.encoding import one_hot
from lstm_baseline.tasks.strings import Lengths
from lstm_baseline.tasks.transduction import NOTHING, Rule, TransductionTask

POP, PUSH, END = 2, 3, 2
"""The tokens "pop" and "push 0", and the class "end"."""


@final
class StackManipulation(TransductionTask):
    """Say what a stack holds after some actions; the module's docstring has layout and ladder.

    Parameters
    ----------
    lengths : int or (int, int)
        Number of bits and actions in a row, at least 2, or the least and the most.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "stack"
    summary = "a stack is shown, then pops and pushes; what does it hold in the end?"
    symbols, answers = ("0", "1", "pop", "push-0", "push-1"), ("0", "1", "end")
    question = "what does the stack hold, from the top down"
    way = "the stack after all actions"
    more_marks = 1

    def __init__(self, lengths: Lengths = 20) -> None:
        super().__init__(lengths, at_least=2)

    def draw(self, size: int, lengths: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw bits, and then actions."""
        shape = (size, self._range[1])
        heights = rng.integers(1, lengths)[:, None]
        actions = rng.integers(POP, PUSH + 2, size=shape)
        return np.where(np.arange(shape[1]) < heights, rng.integers(2, size=shape), actions)

    def transduce(self, tokens: IntArray, lengths: IntArray) -> IntArray:
        """Return the stack in the end, from the top down, and its end."""
        return _from_the_top(*_stack(tokens, _within(tokens, lengths)))

    def heuristics(self) -> list[tuple[str, str, Rule]]:
        """Return the rules that keep less than a stack."""
        rules: list[tuple[str, str, Rule]] = [
            ("initial stack", "the stack shown, without any action", self._initial),
            ("actions alone", "the actions, on an empty stack", self._actions),
            ("pushes alone", "all bits shown and pushed, without any pop", self._pushes),
            ("height alone", "any bits, and the end where it is", self._height),
            (
                "height and last action",
                "any bits but one that was pushed last, and the end where it is",
                self._height_and_last,
            ),
        ]
        # A single action after a single bit is no stack yet.
        if self._range[1] > 2:
            with_end = "all bits shown and pushed, without any pop, and the end where it is"
            rules.append(("height and pushes", with_end, self._height_and_pushes))
        return rules

    def _initial(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        return _beliefs(_stack(tokens, _within(tokens, lengths) & (tokens < POP)))

    def _actions(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        return _beliefs(_stack(tokens, _within(tokens, lengths) & (tokens >= POP)))

    def _pushes(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        return _beliefs(_stack(tokens, _within(tokens, lengths) & (tokens != POP)))

    def _height(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        either = np.full((len(tokens), tokens.shape[1] + 1, 2), 0.5, np.float32)
        return _with_end(either, tokens, lengths)

    def _height_and_last(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        beliefs = self._height(tokens, lengths)
        last = tokens[np.arange(len(tokens)), lengths - 1]
        pushed = last >= PUSH
        beliefs[pushed, 0] = one_hot(last[pushed] - PUSH, 3)
        return beliefs

    def _height_and_pushes(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        bits = self._pushes(tokens, lengths)[..., :END]
        return _with_end(bits, tokens, lengths)


def _within(tokens: IntArray, lengths: IntArray) -> NDArray:
    """Return which tokens are within their row's length, (B, L)."""
    return np.asarray(np.arange(tokens.shape[1]) < lengths[:, None])


def _heights(tokens: IntArray, used: NDArray) -> IntArray:
    """Return how high the stack is after each token, (B, L), of which some are used."""
    moves = np.where(used, np.where(tokens == POP, -1, 1), 0)
    level = moves.cumsum(axis=1)
    # Pops on an empty stack are as many as the level is ever below 0.
    heights: IntArray = level - np.minimum(np.minimum.accumulate(level, axis=1), 0)
    return heights


def _stack(tokens: IntArray, used: NDArray) -> tuple[IntArray, IntArray]:
    """Return the stack (B, L + 1), from the bottom at place 1 on, and its height (B,)."""
    heights = _heights(tokens, used)
    # Place 0 takes what no push writes.
    places = np.where(used & (tokens != POP), heights, 0)
    bits = np.where(tokens >= PUSH, tokens - PUSH, tokens)
    stack = np.zeros((len(tokens), tokens.shape[1] + 1), np.int64)
    flat, rows = stack.reshape(-1), np.arange(len(tokens))[:, None] * stack.shape[1]
    # In the order of time, as a later push writes over an earlier one.
    for place, bit in zip((rows + places).T, bits.T, strict=True):
        flat[place] = bit
    return stack, heights[:, -1]


def _from_the_top(stack: IntArray, height: IntArray) -> IntArray:
    """Return the stack from the top down, its end, and ``NOTHING`` after it, (B, L + 1)."""
    places = height[:, None] - np.arange(stack.shape[1])
    bits = np.take_along_axis(stack, np.maximum(places, 0), axis=1)
    return np.select([places > 0, places == 0], [bits, END], NOTHING)


def _beliefs(found: tuple[IntArray, IntArray]) -> FloatArray:
    """Return who is sure of a stack and its end, and knows nothing of what comes after it."""
    answers = _from_the_top(*found)
    return np.where(answers[..., None] == NOTHING, np.float32(1 / 3), one_hot(answers, 3))


def _with_end(bits: FloatArray, tokens: IntArray, lengths: IntArray) -> FloatArray:
    """Return beliefs of bits (B, L + 1, 2) with the end where it is, (B, L + 1, 3)."""
    height = _heights(tokens, _within(tokens, lengths))[:, -1, None]
    beliefs = np.zeros((*bits.shape[:2], 3), np.float32)
    beliefs[..., :END] = bits
    marks = np.arange(bits.shape[1])
    beliefs[marks == height] = one_hot(np.array(END), 3)
    beliefs[marks > height] = 1 / 3
    return beliefs
