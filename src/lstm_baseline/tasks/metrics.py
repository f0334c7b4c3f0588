"""Scores of predictions against targets, one rule for models, heuristics and oracles alike.

A prediction has the form of a model's output: logits (B, K) or (B, T, K) for classes, values
(B, O) or (B, T, O) for a regression. A heuristic or an oracle states its beliefs as logarithms of
probabilities (−inf for what it rules out), which are logits too. Steps beyond a row's length do not
count.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.activations import log_softmax
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray


class Batch(NamedTuple):
    """Some samples of a task."""

    x: FloatArray
    """(B, T, I) inputs."""
    y: NDArray
    """Targets: class indices (B,) or (B, T), or values (B, O) or (B, T, O)."""
    lengths: IntArray | None = None
    """(B,) valid steps of each row; None when all T are."""
    y_scale: NDArray | None = None
    """(O,) what one unit of y is in the data's own units; None when y is in these already."""

    def rows(self, chosen: slice) -> "Batch":
        """Return some of the rows."""
        lengths = None if self.lengths is None else self.lengths[chosen]
        return Batch(self.x[chosen], self.y[chosen], lengths, self.y_scale)


class Metric(NamedTuple):
    """A named score: the mean of one term for each target."""

    name: str
    unit: str
    higher_is_better: bool
    perfect: float
    """The score that nothing can beat."""
    terms: Callable[[FloatArray, Batch], NDArray]
    """(predictions, batch) -> (B,), or (B, T) where every step has a target."""

    def measure(self, predictions: FloatArray, batch: Batch) -> float:
        """Return the score; steps beyond a row's length do not count."""
        terms = self.terms(predictions, batch)
        if terms.ndim == 2:
            terms = terms[valid_steps(batch.x, batch.lengths)]
        # Added to zero, so that a perfect score is 0 and not −0.
        return 0.0 + float(np.mean(terms, dtype=np.float64))

    def standard_error(self, predictions: FloatArray, batch: Batch) -> float:
        """Return how far the score may be off for the samples drawn; rows are independent.

        It is √(B/(B−1) Σ (s − m n)²) / Σ n, with s a row's sum over its n targets and m the score.
        For a share, such as accuracy, two rows that are all right and two that are all wrong are
        added: otherwise a few rows with equal results would give 0 (Agresti and Coull 1998).
        """
        sums, counts = _row_sums(self.terms(predictions, batch), batch)
        if self.perfect == 1:
            size = counts.mean()
            sums = np.concatenate([sums, [size, size, 0.0, 0.0]])
            counts = np.concatenate([counts, [size] * 4])
        return _error_of_mean(sums, counts)

    def drop(self, before: FloatArray, after: FloatArray, batch: Batch) -> tuple[float, float]:
        """Return how much less the mean term is after than before, and its standard error.

        Both are predictions for the same samples, so the error is that of the paired differences.
        """
        terms = self.terms(before, batch).astype(np.float64) - self.terms(after, batch)
        sums, counts = _row_sums(terms, batch)
        return float(sums.sum() / counts.sum()), _error_of_mean(sums, counts)


def _row_sums(terms: NDArray, batch: Batch) -> tuple[NDArray, NDArray]:
    """Return each row's sum of terms (B,) or (B, T), and how many count, both (B,) float64."""
    terms = terms.astype(np.float64)
    if terms.ndim == 1:
        return terms, np.ones(len(terms))
    valid = valid_steps(batch.x, batch.lengths)
    return np.where(valid, terms, 0).sum(axis=1), valid.sum(axis=1).astype(np.float64)


def _error_of_mean(sums: NDArray, counts: NDArray) -> float:
    """Return the standard error of Σ sums / Σ counts, over independent rows; inf for one row."""
    rows = len(sums)
    if rows < 2:
        return math.inf
    deviations = sums - sums.sum() / counts.sum() * counts
    return float(math.sqrt(rows / (rows - 1) * np.square(deviations).sum()) / counts.sum())


def valid_steps(x: NDArray, lengths: IntArray | None) -> NDArray:
    """Return which steps of x (B, T, I) are within their row's length, (B, T) booleans."""
    if lengths is None:
        return np.ones(x.shape[:2], bool)
    return np.arange(x.shape[1]) < lengths[:, None]


def _accuracy(logits: FloatArray, batch: Batch) -> NDArray:
    best = logits == logits.max(axis=-1, keepdims=True)
    hit = np.take_along_axis(best, batch.y[..., None], axis=-1)[..., 0]
    # A tie is broken by a draw among the best, so it scores the chance of drawing the target.
    chance: NDArray = hit / best.sum(axis=-1)
    return chance


def _nats(logits: FloatArray, batch: Batch) -> NDArray:
    log_p = log_softmax(logits.astype(np.float64))
    return -np.take_along_axis(log_p, batch.y[..., None], axis=-1)[..., 0]


def _bits(logits: FloatArray, batch: Batch) -> NDArray:
    return _nats(logits, batch) / math.log(2)


def _squared_error(values: FloatArray, batch: Batch) -> NDArray:
    error = values.astype(np.float64) - batch.y
    if batch.y_scale is not None:
        error *= batch.y_scale
    mean: NDArray = np.square(error).mean(axis=-1)
    return mean


ACCURACY = Metric("accuracy", "", True, 1.0, _accuracy)
"""Share of targets hit by the largest logit; a tie counts the chance of drawing the target."""

CROSS_ENTROPY = Metric("cross-entropy", "nats", False, 0.0, _nats)
"""Mean of −ln p(target), in nats per target."""

BITS_PER_CHARACTER = Metric("bits per character", "bits", False, 0.0, _bits)
"""Mean of −log₂ p(target)."""

MEAN_SQUARED_ERROR = Metric("mean squared error", "", False, 0.0, _squared_error)
"""Mean of (prediction − target)² over targets and their components, in the data's own units."""

LOSS_METRICS = {"cross_entropy": CROSS_ENTROPY, "mean_squared_error": MEAN_SQUARED_ERROR}
"""The metric that measures each loss of a task."""
