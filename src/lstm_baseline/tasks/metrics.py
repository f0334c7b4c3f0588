"""Scores of predictions against targets, one rule for models, heuristics and oracles alike.

A prediction has the form of a model's output: logits (B, K) or (B, T, K) for classes, values
(B, O) or (B, T, O) for a regression. A heuristic or an oracle states its beliefs as logarithms of
probabilities (−inf for what it rules out), which are logits too. Rows count up to their length.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lstm_baseline.activations import log_softmax
from lstm_baseline.shapes import FloatArray, IntArray, NDArray


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


class Metric(NamedTuple):
    """A named score."""

    name: str
    unit: str
    higher_is_better: bool
    measure: Callable[[FloatArray, Batch], float]
    """(predictions, batch) -> score."""


def valid_steps(x: NDArray, lengths: IntArray | None) -> NDArray:
    """Return which steps of x (B, T, I) are within their row's length, (B, T) booleans."""
    if lengths is None:
        return np.ones(x.shape[:2], bool)
    valid: NDArray = np.arange(x.shape[1]) < lengths[:, None]
    return valid


def _valid(batch: Batch, per_step: bool) -> NDArray | slice:
    """Index of the targets that count: rows, or steps within each row's length."""
    return valid_steps(batch.x, batch.lengths) if per_step else slice(None)


def _accuracy(logits: FloatArray, batch: Batch) -> float:
    best = logits == logits.max(axis=-1, keepdims=True)
    hit = np.take_along_axis(best, batch.y[..., None], axis=-1)[..., 0]
    # A tie is broken by drawing among the best: what counts is the chance of drawing the target.
    share = hit / best.sum(axis=-1)
    return float(np.mean(share[_valid(batch, batch.y.ndim == 2)], dtype=np.float64))


def _nats(logits: FloatArray, batch: Batch) -> float:
    log_p = log_softmax(logits.astype(np.float64))
    picked = np.take_along_axis(log_p, batch.y[..., None], axis=-1)[..., 0]
    # Subtracted from zero, so that a perfect score is 0 and not −0.
    return float(0.0 - np.mean(picked[_valid(batch, batch.y.ndim == 2)]))


def _squared_error(values: FloatArray, batch: Batch) -> float:
    error = values.astype(np.float64) - batch.y
    if batch.y_scale is not None:
        error *= batch.y_scale
    return float(np.mean(np.square(error)[_valid(batch, batch.y.ndim == 3)]))


def _bits(logits: FloatArray, batch: Batch) -> float:
    return _nats(logits, batch) / math.log(2)


ACCURACY = Metric("accuracy", "", True, _accuracy)
"""Share of targets hit by the largest logit; a tie counts the chance of drawing the target."""

CROSS_ENTROPY = Metric("cross-entropy", "nats", False, _nats)
"""Mean of −ln p(target), in nats per target."""

BITS_PER_CHARACTER = Metric("bits per character", "bits", False, _bits)
"""Mean of −log₂ p(target)."""

MEAN_SQUARED_ERROR = Metric("mean squared error", "", False, _squared_error)
"""Mean of (prediction − target)² over targets and their components, in the data's own units."""
