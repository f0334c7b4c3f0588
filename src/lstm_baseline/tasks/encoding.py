"""Tools of the generators: laying out columns, writing and reading one-hots, stating beliefs."""

from itertools import pairwise

import numpy as np

from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray


def columns(*widths: int) -> list[slice]:
    """Return one slice per width, side by side from column 0."""
    edges = np.cumsum([0, *widths]).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def one_hot(index: IntArray, size: int) -> FloatArray:
    """Return float32 (…, size) with a one at each index (…)."""
    return np.eye(size, dtype=np.float32).take(index, axis=0)


def log_probabilities(p: NDArray) -> FloatArray:
    """Return ln p as float32 logits; −inf where p is 0."""
    with np.errstate(divide="ignore"):
        return np.log(p, dtype=np.float32)


def certain(index: IntArray, size: int) -> FloatArray:
    """Return the logits (…, size) of someone who is sure of class index (…)."""
    return log_probabilities(one_hot(index, size))


def uniform(x: FloatArray, size: int) -> FloatArray:
    """Return the logits (B, size) of someone who knows nothing of x (B, T, I)."""
    return np.zeros((len(x), size), np.float32)


def largest(counts: NDArray) -> FloatArray:
    """Return the logits (B, K) of someone who bets on the largest of counts (B, K); ties share."""
    return log_probabilities(counts == counts.max(axis=1, keepdims=True))


def last_true(mask: NDArray) -> IntArray:
    """Return the position of the last True of each row of mask (B, N)."""
    last: IntArray = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    return last


def drawn(allowed: NDArray, rng: np.random.Generator) -> IntArray:
    """Return, for each row of allowed (B, N), the position of a True, all equally likely.

    Every row must have one.
    """
    position: IntArray = np.where(allowed, rng.random(allowed.shape), -1).argmax(axis=1)
    return position


def other_choice(own: IntArray, answers: IntArray, rng: np.random.Generator) -> IntArray:
    """Return another choice (B,) than own (B,), from N ≥ 2 with their answers (B, N).

    It is drawn, all equally likely, among the choices whose answer differs from that of the own
    one; where none differs, among all but the own one.
    """
    differs = answers != answers[np.arange(len(own)), own][:, None]
    others = np.arange(answers.shape[1]) != own[:, None]
    return drawn(np.where(differs.any(axis=1, keepdims=True), differs, others), rng)


def shuffled_rows(size: int, count: int, rng: np.random.Generator) -> IntArray:
    """Return (size, count): in each row 0 … count − 1 in a random order of its own."""
    return rng.permuted(np.broadcast_to(np.arange(count), (size, count)), axis=1)
